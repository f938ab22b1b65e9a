import assert from "node:assert/strict";
import { test } from "node:test";
import { PermanentError, Poison, RetryableError, readJob, writeAnswer, writeQuarantined } from "../src/contract.js";
import type { Job, Outcome } from "../src/contract.js";
import { place } from "../src/nats.js";
import { attempt } from "../src/worker.js";
import type { Context, Handler } from "../src/worker.js";

const DATA = {
  task_id: "0190f3f4-0000-7000-8000-000000000001", step: "reserve", attempt: 2, handler: "orders.reserve",
  inputs: { context: { cart: 1 }, results: { check: [true] } }, timeout_ms: 30_000,
  idempotency_key: "0190f3f4-0000-7000-8000-000000000001/reserve", replyto: "stepbus.results.3", token: "abc",
};
const EVENT = {
  specversion: "1.0", id: "epoch:7.0", source: "stepbus", type: "step.requested", tenant: "default",
  correlationid: "c-1", traceparent: "00-1-2-01", data: DATA,
};
const RESULTS = "stepbus.results.";
const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const said = (body: Uint8Array) => JSON.parse(new TextDecoder().decode(body)) as { [name: string]: any };
const job = (change: object = {}): Job => readJob(bytes({ ...EVENT, data: { ...DATA, ...change } }), RESULTS);
const run = (handler: Handler, asked: Job = job(), stop = new AbortController(), beats: Outcome[] = []) =>
  attempt(handler, asked, stop, async (beat) => void beats.push(beat));

test("a job is read with what its answer needs, and unknown fields are let be", () => {
  const read = readJob(bytes({ ...EVENT, shiny: 1, data: { ...DATA, shiny: 2 } }), RESULTS);
  assert.equal(read.idempotencyKey, DATA.idempotency_key);
  assert.deepEqual(read.inputs, DATA.inputs);
});

for (const [why, body, code, pointer] of [
  ["is not JSON", "{", "json.malformed", ""],
  ["is not an event", [1], "envelope.invalid", "/specversion"],
  ["is of another type", { ...EVENT, type: "step.completed" }, "message.unknown_type", "/type"],
  ["has no token", { ...EVENT, data: { ...DATA, token: undefined } }, "message.invalid", "/data/token"],
  ["has no inputs", { ...EVENT, data: { ...DATA, inputs: null } }, "message.invalid", "/data/inputs"],
  ["wants its answer elsewhere", { ...EVENT, data: { ...DATA, replyto: "stepbus.jobs.x" } }, "message.replyto", "/data/replyto"],
  ["has no results", { ...EVENT, data: { ...DATA, inputs: { context: {} } } }, "message.invalid", "/data/inputs/results"],
] as const) {
  test(`a message that ${why} is poison, with code and pointer`, () => {
    assert.throws(() => readJob(bytes(body), RESULTS), (error) => error instanceof Poison && error.code === code && error.pointer === pointer);
  });
}

test("a URL says where the servers are and who comes", () => {
  assert.deepEqual(place("nats://127.0.0.1:4222"), { servers: ["127.0.0.1:4222"] });
  assert.deepEqual(place("tls://u%40x:p%3A@a:1,b"), { servers: ["a:1", "b"], user: "u@x", pass: "p:", tls: {} });
  assert.deepEqual(place("nats://secret@a"), { servers: ["a"], token: "secret" });
  assert.throws(() => place("http://a"), /expected a URL/);
});

test("an answer echoes task, step, attempt and token, and carries the envelope on", () => {
  const event = said(writeAnswer(job(), "w", { type: "step.completed", result: { ok: true } }).body);
  const { task_id, step, attempt, token } = DATA;
  assert.deepEqual(event["data"], { task_id, step, attempt, token, worker: "w", result: { ok: true } });
  assert.equal(event["type"], "step.completed");
  assert.deepEqual([event["causationid"], event["correlationid"], event["partitionkey"]], ["epoch:7.0", "c-1", task_id]);
});

for (const [what, result, code] of [
  ["NaN", { a: NaN }, "worker.result_invalid"],
  ["an integer past 2^53", 2 ** 53, "worker.result_invalid"],
  ["a bigint", 1n, "worker.result_invalid"],
  ["a NUL", "\0", "worker.result_invalid"],
  ["a lone surrogate", "\ud800", "worker.result_invalid"],
  ["300 kB", "x".repeat(300_000), "worker.result_too_large"],
] as const) {
  test(`a result with ${what} is a permanent failure, not a lost job`, () => {
    const event = said(writeAnswer(job(), "w", { type: "step.completed", result }).body);
    assert.equal(event["type"], "step.failed");
    assert.equal(event["data"].error.code, code);
    assert.equal(event["data"].error.retryable, false);
  });
}

test("an error whose details cannot be sent is sent without them", () => {
  const error = { code: "c", message: "m\0", retryable: true, details: NaN };
  const event = said(writeAnswer(job(), "w", { type: "step.failed", error }).body);
  assert.deepEqual(event["data"].error, { code: "c", message: "m\ufffd", retryable: true });
});

test("a quarantined message is kept whole, with the reason", () => {
  const event = said(writeQuarantined("jobs.q", bytes("{"), new Poison("json.malformed", "/a", "why")).body);
  const { message_id, ...rest } = event["data"];
  assert.match(message_id, /^[0-9a-f-]{36}$/);
  assert.deepEqual(rest, { channel: "jobs.q", code: "json.malformed", pointer: "/a", reason: "why", body: "ew==" });
});

test("what a handler returns is the result, and nothing is null", async () => {
  assert.deepEqual(await run(() => ({ a: 1 })), { type: "step.completed", result: { a: 1 } });
  assert.deepEqual(await run(async () => undefined), { type: "step.completed", result: null });
});

test("what a handler throws is the error", async () => {
  const thrown = async (error: unknown) => ((await run(() => { throw error; })) as { error: object }).error;
  assert.deepEqual(await thrown(new PermanentError("c", "m", { details: 1 })), { code: "c", message: "m", retryable: false, details: 1 });
  assert.deepEqual(await thrown(new RetryableError("c", "m", { retryAfterSeconds: 2 })), {
    code: "c", message: "m", retryable: true, retry_after: 2, details: null,
  });
  assert.deepEqual(await thrown(new RangeError("m")), { code: "RangeError", message: "m", retryable: true });
});

test("an attempt ends when its time is over, and the handler is told", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const stop = new AbortController();
  const outcome = run(() => new Promise(() => {}), job({ timeout_ms: 1_000 }), stop);
  t.mock.timers.tick(999);
  assert.equal(stop.signal.aborted, false);
  t.mock.timers.tick(1);
  assert.equal(((await outcome) as { error: { code: string } }).error.code, "worker.timeout");
  assert.equal(stop.signal.aborted, true);
});

test("a heartbeat starts the attempt's time anew", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const beats: Outcome[] = [];
  const stop = new AbortController();
  let beat!: Context["heartbeat"];
  const handler: Handler = (_, { heartbeat }) => {
    beat = heartbeat;
    return new Promise(() => {});
  };
  void run(handler, job({ timeout_ms: 1_000 }), stop, beats);
  t.mock.timers.tick(900);
  await beat({ done: 0.5 });
  t.mock.timers.tick(999);
  assert.equal(stop.signal.aborted, false);
  t.mock.timers.tick(1);
  assert.equal(stop.signal.aborted, true);
  assert.deepEqual(beats, [{ type: "step.heartbeat", progress: { done: 0.5 } }]);
});
