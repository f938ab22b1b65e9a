// The worker: takes jobs from the queues of a broker, runs a handler for each, and answers.
//
// A job is acked only when the broker has confirmed the answer. Whatever goes wrong before that, the job is delivered again,
// here or to another worker: so an effect may happen twice, and is to be keyed by the job's idempotencyKey.

import { hostname } from "node:os";
import { brokerOf } from "./brokers.js";
import { CONFIRM_MS, aborted, delay, log } from "./bus.js";
import type { Bus, Delivery } from "./bus.js";
import { PermanentError, Poison, RetryableError, describe, readJob, writeAnnouncement, writeAnswer, writeQuarantined } from "./contract.js";
import type { Answer, Inputs, Job, Outcome, StepError } from "./contract.js";

export interface Context {
  job: Job;
  /** Aborted when the attempt's time is over or the worker stops: pass it on to what you wait for. */
  signal: AbortSignal;
  /** Say that the attempt is alive: its time starts anew. */
  heartbeat(progress?: unknown): Promise<void>;
}

export type Handler = (inputs: Inputs, context: Context) => unknown;

export interface Options {
  url?: string;
  prefix?: string;
  name?: string;
  /** How many jobs of each queue run at once. */
  concurrency?: number;
  graceMs?: number;
  /** How often a job may be delivered before it is answered as failed: it may be what kills its workers. */
  maxDeliveries?: number;
  /** Whether the coordinators are told at the start which handlers it serves. */
  isAnnounced?: boolean;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;
const GIVEN_BACK = new Error("the worker stops");

export class Worker {
  readonly options: Required<Options>;
  readonly stats = { completed: 0, failed: 0, heartbeats: 0, duplicates: 0, quarantined: 0, givenBack: 0 };
  private readonly queues = new Map<string, Map<string, Handler>>();
  private readonly running = new Map<string, { deliveries: Delivery[]; stop: AbortController }>();
  private readonly stopping = new AbortController();
  private bus!: Bus;
  private isClosed = false;

  constructor(options: Options = {}) {
    const name = `${hostname()}-${process.pid}`;
    const limits = { concurrency: 4, graceMs: 30_000, maxDeliveries: 10 };
    this.options = { url: "nats://127.0.0.1:4222", prefix: "stepbus", name, isAnnounced: true, ...limits, ...options };
  }

  /** Serve a handler. Its jobs come by the queue of the same name, unless the task template names another. */
  handle(name: string, handler: Handler, queue = name): this {
    if (!this.queues.has(queue)) this.queues.set(queue, new Map());
    this.queues.get(queue)!.set(name, handler);
    return this;
  }

  /** Serve until stop() is called; then let what runs finish within the grace, and give back the rest. */
  async run(): Promise<void> {
    const { prefix, name, concurrency, graceMs, isAnnounced } = this.options;
    const connected = await Promise.race([this.connected(), aborted(this.stopping.signal)]);
    if (!connected) return; // stopped while it waited for the broker
    this.bus = connected;
    const consuming = [...this.queues.keys()].map((queue) =>
      this.bus.consume(queue, concurrency, this.stopping.signal, (delivery) => this.take(queue, delivery)));
    const handlers = [...this.queues.values()].flatMap((served) => [...served.keys()]);
    if (isAnnounced) void this.confirmed(`${prefix}.tasks`, name, writeAnnouncement(name, handlers));
    log(`worker ${name} serves ${[...this.queues.keys()].join(", ")}`);
    await aborted(this.stopping.signal);
    await Promise.race([Promise.all(consuming), delay(graceMs)]);
    for (const { deliveries, stop } of this.running.values()) {
      stop.abort(GIVEN_BACK);
      deliveries.forEach((delivery) => delivery.giveBack?.());
      this.stats.givenBack += 1;
    }
    this.isClosed = true;
    await Promise.race([this.bus.close(), delay(CONFIRM_MS)]);
    log(`worker ${name} stopped: ${JSON.stringify(this.stats)}`);
  }

  stop(): void {
    this.stopping.abort();
  }

  private async connected(): Promise<Bus> {
    const { url, prefix, name } = this.options;
    const connect = brokerOf(url);
    for (;;) {
      try {
        return await connect(url, prefix, name);
      } catch (error) {
        log(`no broker: ${describe(error)}; trying again`);
        await delay(1_000);
      }
    }
  }

  private async take(queue: string, delivery: Delivery): Promise<void> {
    if (this.stopping.signal.aborted) return delivery.giveBack?.();
    let job: Job;
    try {
      job = readJob(delivery.body, `${this.options.prefix}.results.`);
    } catch (error) {
      if (!(error instanceof Poison)) throw error;
      return this.quarantine(queue, delivery, error);
    }
    const key = `${job.taskId}|${job.step}|${job.attempt}`;
    const already = this.running.get(key);
    if (already) {
      this.stats.duplicates += 1;
      already.deliveries.push(delivery);
      return;
    }
    const handler = this.queues.get(queue)!.get(job.handler);
    const { count, extend, extendMs } = delivery;
    if (!handler && delivery.giveBack && count < this.options.maxDeliveries) {
      return delivery.giveBack(Math.min(1_000 * 2 ** (count - 1), 30_000));
    }
    const entry = { deliveries: [delivery], stop: new AbortController() };
    this.running.set(key, entry);
    // Work in hand is not to be delivered to others meanwhile. It ends with the attempt's time, so none is held for ever.
    const keeping = extend && setInterval(() => entry.deliveries.forEach((each) => each.extend?.()), extendMs);
    try {
      const outcome = !handler ? unknownHandler(job) : count > this.options.maxDeliveries ? redelivered(count) :
        await attempt(handler, job, entry.stop, (said) => this.bus.publish({ address: job.replyto, key: job.taskId, ...writeAnswer(job, this.options.name, said) }));
      if (outcome && (await this.answer(job, outcome))) entry.deliveries.forEach((each) => each.ack());
    } finally {
      clearInterval(keeping);
      this.running.delete(key);
    }
  }

  /** Publish until the broker has confirmed; false if the worker was stopped before. */
  private async answer(job: Job, outcome: Outcome): Promise<boolean> {
    const answer = writeAnswer(job, this.options.name, outcome);
    if (!(await this.confirmed(job.replyto, job.taskId, answer))) return false;
    if (outcome.type === "step.completed") this.stats.completed += 1;
    else this.stats.failed += 1;
    return true;
  }

  /** Hand a message that is no job to the coordinators, who put it into quarantine: it is neither lost nor comes back for ever. */
  private async quarantine(queue: string, delivery: Delivery, poison: Poison): Promise<void> {
    log(`queue ${queue}: a message is no job: ${poison.code} at ${poison.pointer}: ${poison.message}`);
    const entry = writeQuarantined(`jobs.${queue}`, delivery.body, poison);
    if (await this.confirmed(`${this.options.prefix}.results.0`, "", entry)) delivery.ack();
    this.stats.quarantined += 1;
  }

  private async confirmed(address: string, key: string, message: Answer): Promise<boolean> {
    for (let wait = 100; !this.isClosed; wait = Math.min(wait * 2, 2_000)) {
      try {
        await this.bus.publish({ address, key, ...message });
        return true;
      } catch (error) {
        log(`no confirm from ${address}: ${describe(error)}; sending again`);
        await delay(wait);
      }
    }
    return false;
  }
}

/** Run a handler once, for as long as the attempt may take. Nothing is to be answered if the job was given back meanwhile. */
export async function attempt(
  handler: Handler, job: Job, stop: AbortController, say: (beat: Outcome) => Promise<void>,
): Promise<Outcome | undefined> {
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  const cutShort = aborted(stop.signal).then(() => stop.signal.reason === GIVEN_BACK ? undefined : late(job));
  const restart = () => {
    clearTimeout(timer);
    if (!isOver) timer = setTimeout(() => stop.abort(new Error("worker.timeout")), Math.min(job.timeoutMs, LONGEST_TIMER_MS));
  };
  const heartbeat = async (progress: unknown = null) => {
    if (isOver || stop.signal.aborted) return;
    await say({ type: "step.heartbeat", progress }).then(restart, (error: unknown) => log(`no heartbeat: ${describe(error)}`));
  };
  const work = async (): Promise<Outcome> => {
    try {
      const result = await handler(job.inputs, { job, signal: stop.signal, heartbeat });
      return { type: "step.completed", result: result ?? null };
    } catch (error) {
      return { type: "step.failed", error: stepError(error) };
    }
  };
  restart();
  try {
    return await Promise.race([cutShort, work()]);
  } finally {
    isOver = true;
    clearTimeout(timer);
  }
}

function stepError(error: unknown): StepError {
  if (error instanceof PermanentError) {
    return { code: error.code, message: error.message, retryable: false, details: error.options.details ?? null };
  }
  if (error instanceof RetryableError) {
    const { retryAfterSeconds, details } = error.options;
    const after = retryAfterSeconds === undefined ? {} : { retry_after: retryAfterSeconds };
    return { code: error.code, message: error.message, retryable: true, ...after, details: details ?? null };
  }
  return { code: error instanceof Error ? error.name : "Error", message: describe(error), retryable: true };
}

function failed(code: string, message: string): Outcome {
  return { type: "step.failed", error: { code, message, retryable: true } };
}

const late = (job: Job) => failed("worker.timeout", `expected an end within ${job.timeoutMs} ms`);
const unknownHandler = (job: Job) => failed("worker.handler_unknown", `expected a worker that serves ${job.handler}`);
const redelivered = (count: number) => failed("worker.redelivered", `delivered ${count} times and never answered`);
