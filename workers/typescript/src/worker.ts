// The worker: takes jobs from a NATS JetStream work queue, runs a handler for each, and answers.
//
// A job is acked only when the broker has confirmed the answer. Whatever goes wrong before that, the job is delivered again,
// here or to another worker: so an effect may happen twice, and is to be keyed by the job's idempotencyKey.

import { hostname } from "node:os";
import { AckPolicy, DeliverPolicy, JetStreamApiError, jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { Consumer, JetStreamClient, JetStreamManager, JsMsg } from "@nats-io/jetstream";
import { connect, headers, millis, nanos } from "@nats-io/transport-node";
import type { ConnectionOptions, NatsConnection } from "@nats-io/transport-node";
import { PermanentError, Poison, RetryableError, describe, readJob, writeAnswer, writeQuarantined } from "./contract.js";
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
}

const ACK_WAIT_MS = 30_000;
const CONSUMER_EXISTS = 10148;
const CONFIRM_MS = 5_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const GIVEN_BACK = new Error("the worker stops");
const delay = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const log = (text: string) => console.log(`${new Date().toISOString()} ${text}`);

export class Worker {
  readonly options: Required<Options>;
  readonly stats = { completed: 0, failed: 0, heartbeats: 0, duplicates: 0, quarantined: 0, givenBack: 0 };
  private readonly queues = new Map<string, Map<string, Handler>>();
  private readonly running = new Map<string, { deliveries: JsMsg[]; stop: AbortController }>();
  private readonly stopping = new AbortController();
  private connection!: NatsConnection;
  private manager!: JetStreamManager;
  private client!: JetStreamClient;

  constructor(options: Options = {}) {
    const name = `${hostname()}-${process.pid}`;
    const defaults = { url: "nats://127.0.0.1:4222", prefix: "stepbus", name, concurrency: 4, graceMs: 30_000, maxDeliveries: 10 };
    this.options = { ...defaults, ...options };
  }

  /** Serve a handler. Its jobs come by the queue of the same name, unless the task template names another. */
  handle(name: string, handler: Handler, queue = name): this {
    if (!this.queues.has(queue)) this.queues.set(queue, new Map());
    this.queues.get(queue)!.set(name, handler);
    return this;
  }

  /** Serve until stop() is called; then let what runs finish within the grace, and give back the rest. */
  async run(): Promise<void> {
    const { url, name, concurrency, graceMs } = this.options;
    const connecting = connect({ ...place(url), name, maxReconnectAttempts: -1, waitOnFirstConnect: true });
    const connected = await Promise.race([connecting, aborted(this.stopping.signal)]);
    if (!connected) return; // stopped while it waited for the broker
    this.connection = connected;
    this.manager = await jetstreamManager(this.connection, { checkAPI: false });
    this.client = jetstream(this.connection);
    const lanes = [...this.queues.keys()].flatMap((queue) => Array.from({ length: concurrency }, () => this.lane(queue)));
    log(`worker ${name} serves ${[...this.queues.keys()].join(", ")}`);
    await aborted(this.stopping.signal);
    await Promise.race([Promise.all(lanes), delay(graceMs)]);
    for (const { deliveries, stop } of this.running.values()) {
      stop.abort(GIVEN_BACK);
      deliveries.forEach((delivery) => delivery.nak());
      this.stats.givenBack += 1;
    }
    await Promise.race([this.connection.drain(), delay(CONFIRM_MS)]);
    log(`worker ${name} stopped: ${JSON.stringify(this.stats)}`);
  }

  stop(): void {
    this.stopping.abort();
  }

  /** One job of a queue after another. */
  private async lane(queue: string): Promise<void> {
    let consumer: Consumer | undefined;
    let extendMs = 0;
    while (!this.stopping.signal.aborted) {
      try {
        if (!consumer) {
          consumer = await this.consumer(queue);
          extendMs = millis((await consumer.info(true)).config.ack_wait!) / 3;
        }
        const delivery = await consumer.next({ expires: 1_000 });
        if (delivery) await this.take(queue, delivery, extendMs);
      } catch (error) {
        log(`queue ${queue}: ${describe(error)}; trying again`);
        consumer = undefined;
        await delay(1_000);
      }
    }
  }

  /** Create the queue's consumer as every worker, in any language, does; one that is there is taken as it is. */
  private async consumer(queue: string): Promise<Consumer> {
    const stream = `${this.options.prefix.toUpperCase()}_JOBS`;
    const name = queue.replaceAll(".", "=");
    try {
      await this.manager.consumers.add(stream, {
        name, durable_name: name, filter_subject: `${this.options.prefix}.jobs.${queue}`,
        deliver_policy: DeliverPolicy.All, ack_policy: AckPolicy.Explicit, ack_wait: nanos(ACK_WAIT_MS),
        max_deliver: -1, max_ack_pending: 1000,
      });
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.code !== CONSUMER_EXISTS) throw error;
    }
    return this.client.consumers.get(stream, name);
  }

  private async take(queue: string, delivery: JsMsg, extendMs: number): Promise<void> {
    if (this.stopping.signal.aborted) return delivery.nak();
    let job: Job;
    try {
      job = readJob(delivery.data, `${this.options.prefix}.results.`);
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
    const count = delivery.info.deliveryCount;
    if (!handler && count < this.options.maxDeliveries) return delivery.nak(Math.min(1_000 * 2 ** (count - 1), 30_000));
    const entry = { deliveries: [delivery], stop: new AbortController() };
    this.running.set(key, entry);
    // Work in hand is not to be delivered to others meanwhile. It ends with the attempt's time, so none is held for ever.
    const keeping = setInterval(() => entry.deliveries.forEach((each) => each.working()), extendMs);
    try {
      const outcome = !handler ? unknownHandler(job) : count > this.options.maxDeliveries ? redelivered(count) :
        await attempt(handler, job, entry.stop, (said) => this.publish(job.replyto, writeAnswer(job, this.options.name, said)));
      if (outcome && (await this.answer(job, outcome))) entry.deliveries.forEach((each) => each.ack());
    } finally {
      clearInterval(keeping);
      this.running.delete(key);
    }
  }

  /** Publish until the broker has confirmed; false if the worker was stopped before. */
  private async answer(job: Job, outcome: Outcome): Promise<boolean> {
    const answer = writeAnswer(job, this.options.name, outcome);
    if (!(await this.confirmed(job.replyto, answer))) return false;
    if (outcome.type === "step.completed") this.stats.completed += 1;
    else this.stats.failed += 1;
    return true;
  }

  /** Hand a message that is no job to the coordinators, who put it into quarantine: it is neither lost nor comes back for ever. */
  private async quarantine(queue: string, delivery: JsMsg, poison: Poison): Promise<void> {
    log(`queue ${queue}: a message is no job: ${poison.code} at ${poison.pointer}: ${poison.message}`);
    const entry = writeQuarantined(`jobs.${queue}`, delivery.data, poison);
    if (await this.confirmed(`${this.options.prefix}.results.0`, entry)) delivery.ack();
    this.stats.quarantined += 1;
  }

  private async confirmed(subject: string, answer: Answer): Promise<boolean> {
    for (let wait = 100; !this.connection.isClosed(); wait = Math.min(wait * 2, 2_000)) {
      try {
        await this.publish(subject, answer);
        return true;
      } catch (error) {
        log(`no confirm from ${subject}: ${describe(error)}; sending again`);
        await delay(wait);
      }
    }
    return false;
  }

  private async publish(subject: string, answer: Answer): Promise<void> {
    const head = headers();
    head.set("content-type", "application/cloudevents+json");
    await this.client.publish(subject, answer.body, { msgID: answer.id, timeout: CONFIRM_MS, headers: head });
  }
}

/** Give where `nats://user:password@host:port,host:port` leads: the client wants the parts. A token may stand for the user. */
export function place(url: string): ConnectionOptions {
  const found = /^(nats|tls):\/\/(?:([^@/]*)@)?([^@/?]+)\/?$/.exec(url);
  if (!found) throw new Error(`expected a URL as in nats://user:password@host:4222, found one of another form`);
  const [, scheme, credentials, hosts] = found;
  const [user, pass] = (credentials ?? "").split(":").map(decodeURIComponent);
  const who = pass !== undefined ? { user: user!, pass } : user ? { token: user } : {};
  return { servers: hosts!.split(","), ...who, ...(scheme === "tls" ? { tls: {} } : {}) };
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

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true }));
}
