// NATS JetStream: a durable pull consumer for each queue, the same for workers in all languages.

import { AckPolicy, DeliverPolicy, JetStreamApiError, jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { Consumer, JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import { connect, headers, millis, nanos } from "@nats-io/transport-node";
import type { ConnectionOptions, NatsConnection } from "@nats-io/transport-node";
import { CONFIRM_MS, lanes } from "./bus.js";
import type { Bus, Message, Take } from "./bus.js";

const ACK_WAIT_MS = 30_000;
const CONSUMER_EXISTS = 10148;

export async function connectNats(url: string, prefix: string, name: string): Promise<Bus> {
  const connection = await connect({ ...place(url), name, maxReconnectAttempts: -1, waitOnFirstConnect: true });
  return new NatsBus(connection, await jetstreamManager(connection, { checkAPI: false }), jetstream(connection), prefix);
}

class NatsBus implements Bus {
  constructor(
    private readonly connection: NatsConnection, private readonly manager: JetStreamManager,
    private readonly client: JetStreamClient, private readonly prefix: string,
  ) {}

  consume(queue: string, concurrency: number, signal: AbortSignal, take: Take): Promise<void> {
    return lanes(queue, concurrency, signal, async () => {
      const consumer = await this.consumer(queue);
      const extendMs = millis((await consumer.info(true)).config.ack_wait!) / 3;
      while (!signal.aborted) {
        const message = await consumer.next({ expires: 1_000 });
        if (!message) continue;
        await take({
          body: message.data, count: message.info.deliveryCount, extendMs, ack: () => message.ack(),
          giveBack: (delayMs) => message.nak(delayMs), extend: () => message.working(),
        });
      }
    });
  }

  /** Create the queue's consumer as every worker, in any language, does; one that is there is taken as it is. */
  private async consumer(queue: string): Promise<Consumer> {
    const stream = `${this.prefix.toUpperCase()}_JOBS`;
    const name = queue.replaceAll(".", "=");
    try {
      await this.manager.consumers.add(stream, {
        name, durable_name: name, filter_subject: `${this.prefix}.jobs.${queue}`,
        deliver_policy: DeliverPolicy.All, ack_policy: AckPolicy.Explicit, ack_wait: nanos(ACK_WAIT_MS),
        max_deliver: -1, max_ack_pending: 1000,
      });
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.code !== CONSUMER_EXISTS) throw error;
    }
    return this.client.consumers.get(stream, name);
  }

  async publish({ address, id, body }: Message): Promise<void> {
    const head = headers();
    head.set("content-type", "application/cloudevents+json");
    await this.client.publish(address, body, { msgID: id, timeout: CONFIRM_MS, headers: head });
  }

  close(): Promise<void> {
    return this.connection.drain();
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
