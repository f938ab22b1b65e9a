// The contract as types: what a job says, what an answer says, and how a handler says that it failed.

import { randomUUID } from "node:crypto";

export const MAX_MESSAGE_BYTES = 256 * 1024;
const MAX_DEPTH = 64;
const CONTRACT_VERSION = 1;
const KEPT_BYTES = 700 * 1024; // four thirds of it as base64, which the broker takes

export interface Inputs {
  context: Record<string, unknown>;
  results: Record<string, unknown>;
}

/** One attempt of one step, with what its envelope says that the answer must say too. */
export interface Job {
  envelope: Record<string, unknown>;
  taskId: string;
  step: string;
  attempt: number;
  handler: string;
  inputs: Inputs;
  timeoutMs: number;
  idempotencyKey: string;
  replyto: string;
  token: string;
}

/** A message that is no job. It will be none however often it is delivered. */
export class Poison extends Error {
  constructor(readonly code: string, readonly pointer: string, reason: string) {
    super(reason);
  }
}

export interface ErrorOptions {
  retryAfterSeconds?: number;
  details?: unknown;
}

/** Throw it where another attempt may succeed. */
export class RetryableError extends Error {
  constructor(readonly code: string, message = "", readonly options: ErrorOptions = {}) {
    super(message);
  }
}

/** Throw it where no attempt will ever succeed. */
export class PermanentError extends Error {
  constructor(readonly code: string, message = "", readonly options: Omit<ErrorOptions, "retryAfterSeconds"> = {}) {
    super(message);
  }
}

export type Outcome =
  | { type: "step.completed"; result: unknown }
  | { type: "step.failed"; error: StepError }
  | { type: "step.heartbeat"; progress: unknown };

export interface StepError {
  code: string;
  message: string;
  retryable: boolean;
  retry_after?: number;
  details?: unknown;
}

interface WireJob {
  task_id: string; step: string; attempt: number; handler: string; inputs: Inputs;
  timeout_ms: number; idempotency_key: string; replyto: string; token: string;
}

const EXPECTED: Record<keyof WireJob, "string" | "number" | "object"> = {
  task_id: "string", step: "string", attempt: "number", handler: "string", inputs: "object",
  timeout_ms: "number", idempotency_key: "string", replyto: "string", token: "string",
};

/** Give the job that a message asks for; throws Poison if it is none. Unknown fields are let be. Its token goes to `results` only. */
export function readJob(body: Uint8Array, results: string): Job {
  let event: unknown;
  try {
    event = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    throw new Poison("json.malformed", "", `expected JSON, but ${describe(error)}`);
  }
  if (!isObject(event) || event["specversion"] !== "1.0") {
    throw new Poison("envelope.invalid", "/specversion", "expected a CloudEvent of specversion 1.0");
  }
  if (event["type"] !== "step.requested") {
    throw new Poison("message.unknown_type", "/type", `expected step.requested, found ${String(event["type"])}`);
  }
  const data: unknown = event["data"];
  for (const [name, kind] of Object.entries(EXPECTED)) {
    const found = isObject(data) ? data[name] : undefined;
    if (typeof found !== kind || found === null) {
      throw new Poison("message.invalid", `/data/${name}`, `expected ${name} to be of type ${kind}, found ${typeof found}`);
    }
  }
  const job = data as unknown as WireJob;
  for (const part of ["context", "results"] as const) {
    if (!isObject(job.inputs[part])) throw new Poison("message.invalid", `/data/inputs/${part}`, `expected ${part} to be an object`);
  }
  if (!job.replyto.startsWith(results)) throw new Poison("message.replyto", "/data/replyto", `expected an address in ${results}`);
  return {
    envelope: event, taskId: job.task_id, step: job.step, attempt: job.attempt, handler: job.handler, inputs: job.inputs,
    timeoutMs: job.timeout_ms, idempotencyKey: job.idempotency_key, replyto: job.replyto, token: job.token,
  };
}

export interface Answer {
  id: string;
  body: Uint8Array;
}

/** Give the answer to a job. A result that cannot cross the border becomes a permanent failure, so the job is never lost. */
export function writeAnswer(job: Job, worker: string, outcome: Outcome): Answer {
  try {
    return write(job, worker, outcome);
  } catch (error) {
    if (!(error instanceof Unportable)) throw error;
    if (outcome.type !== "step.completed") return write(job, worker, withoutDetails(outcome));
    const { code, message } = error;
    return write(job, worker, { type: "step.failed", error: { code, message, retryable: false } });
  }
}

/** Give what asks the coordinators to keep a message that nobody can act on, for an operator to see. A huge one is cut. */
export function writeQuarantined(channel: string, body: Uint8Array, poison: Poison): Answer {
  const kept = body.subarray(0, KEPT_BYTES);
  const cut = kept.length < body.length ? ` (the first ${kept.length} of ${body.length} bytes are kept)` : "";
  const data = {
    message_id: randomUUID(), channel, code: poison.code, pointer: poison.pointer,
    reason: poison.message + cut, body: Buffer.from(kept).toString("base64"),
  };
  return encode({ type: "message.quarantined", source: "stepbus/worker", data });
}

/** Give what says which handlers a worker serves, so that mistakes are found before a task runs into them. */
export function writeAnnouncement(worker: string, handlers: string[]): Answer {
  const served = handlers.map((handler) => ({ handler, contract: CONTRACT_VERSION }));
  return encode({ type: "worker.announced", source: sourceOf(worker), data: { worker, handlers: served } });
}

class Unportable extends Error {
  constructor(readonly code: string, message: string) {
    super(message);
  }
}

function write(job: Job, worker: string, { type, ...said }: Outcome): Answer {
  const { id, tenant, correlationid, traceparent } = job.envelope;
  const data = { task_id: job.taskId, step: job.step, attempt: job.attempt, token: job.token, worker, ...said };
  return encode({
    type, source: sourceOf(worker), partitionkey: job.taskId,
    correlationid, causationid: id, tenant, traceparent, data,
  });
}

const sourceOf = (worker: string) => `stepbus/worker/${encodeURIComponent(worker)}`;

function encode(event: Record<string, unknown>): Answer {
  const id = randomUUID();
  const constant = { specversion: "1.0", id, time: new Date().toISOString(), datacontenttype: "application/json" };
  let text: string;
  try {
    text = JSON.stringify({ ...constant, ...event }, portable);
  } catch (error) {
    throw error instanceof Unportable ? error : new Unportable("worker.result_invalid", describe(error));
  }
  const deepest = depth(text);
  if (deepest > MAX_DEPTH) throw new Unportable("worker.result_invalid", `expected depth ${MAX_DEPTH}, found ${deepest}`);
  const body = new TextEncoder().encode(text);
  if (body.length > MAX_MESSAGE_BYTES) {
    throw new Unportable("worker.result_too_large", `expected at most ${MAX_MESSAGE_BYTES} bytes, found ${body.length}`);
  }
  return { id, body };
}

/** Refuse what JSON.stringify would change without a word, or what another reader would not take. */
function portable(key: string, value: unknown): unknown {
  if (typeof value === "number" && (!Number.isFinite(value) || isUnsafeInteger(value))) {
    throw new Unportable("worker.result_invalid", `expected a finite number within 2^53, found ${value} at ${key}`);
  }
  if (typeof value === "string" && /\0|\p{Surrogate}/u.test(value)) {
    throw new Unportable("worker.result_invalid", `expected text without NUL and lone surrogates at ${key}`);
  }
  return value;
}

/** From 1e21 on, JSON.stringify writes a number with an exponent, which no reader takes for an integer. */
function isUnsafeInteger(value: number): boolean {
  return Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e21;
}

function depth(text: string): number {
  let level = 0;
  let deepest = 0;
  for (const character of text.replace(/"(?:[^"\\]|\\.)*"/g, "")) {
    if (character === "{" || character === "[") deepest = Math.max(deepest, ++level);
    else if (character === "}" || character === "]") level--;
  }
  return deepest;
}

function withoutDetails(outcome: Outcome): Outcome {
  if (outcome.type !== "step.failed") return { type: "step.heartbeat", progress: null };
  const { code, message, retryable } = outcome.error;
  const plain = (text: string) => text.replace(/\0|\p{Surrogate}/gu, "\ufffd").slice(0, 4096);
  return { type: "step.failed", error: { code: plain(code).slice(0, 256) || "Error", message: plain(message), retryable } };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
