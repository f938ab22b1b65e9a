// RabbitMQ: a queue of the job's name, publisher confirms, manual acks. The coordinator makes the queues.

import { connect } from "amqplib";
import type { Channel, ChannelModel, ConfirmChannel, ConsumeMessage } from "amqplib";
import { CONFIRM_MS, aborted, lanes } from "./bus.js";
import type { Bus, Delivery, Message, Take } from "./bus.js";

const PAUSE_MS = 1_000;

export async function connectRabbitMQ(url: string, prefix: string): Promise<Bus> {
  const bus = new RabbitMQBus(url, prefix);
  await bus.session();
  return bus;
}

interface Session {
  connection: ChannelModel;
  answers: ConfirmChannel;
  /** Ids of messages that no queue took; the server says so before it confirms them. */
  returned: Set<string>;
}

class RabbitMQBus implements Bus {
  private opening: Promise<Session> | undefined;

  constructor(private readonly url: string, private readonly prefix: string) {}

  /** Give the connection; a lost one is made anew. */
  session(): Promise<Session> {
    this.opening ??= this.open().catch((error: unknown) => {
      this.opening = undefined;
      throw error;
    });
    return this.opening;
  }

  private async open(): Promise<Session> {
    const connection = await connect(this.url);
    const forget = () => { this.opening = undefined; };
    connection.on("error", forget).on("close", forget);
    const answers = await connection.createConfirmChannel();
    const returned = new Set<string>();
    answers.on("return", ({ properties }: { properties: { messageId: string } }) => returned.add(properties.messageId));
    answers.on("error", () => void connection.close().catch(forget));
    return { connection, answers, returned };
  }

  consume(queue: string, concurrency: number, signal: AbortSignal, take: Take): Promise<void> {
    return lanes(queue, concurrency, signal, async () => this.lane(await this.session(), queue, signal, take));
  }

  /** A channel that has one message out at a time. What it has not taken when it closes goes back by itself. */
  private async lane({ connection }: Session, queue: string, signal: AbortSignal, take: Take): Promise<void> {
    const channel = await connection.createChannel();
    const name = `${this.prefix}.jobs.${queue}`;
    let taking: Promise<void> = Promise.resolve();
    let isOpen = true;
    const ended = new Promise<void>((resolve, reject) => {
      channel.on("error", reject).on("close", () => { isOpen = false; reject(new Error("the channel was closed")); });
      void aborted(signal).then(resolve);
      const receive = (message: ConsumeMessage | null) => {
        if (!message) return reject(new Error(`${name} is gone`));
        taking = take(this.delivery(channel, message, () => isOpen));
        taking.catch(reject);
      };
      channel.prefetch(1).then(() => channel.checkQueue(name)).then(() => channel.consume(name, receive)).catch(reject);
    });
    await ended;
    await taking;
    await channel.close().catch(() => undefined);
  }

  private delivery(channel: Channel, message: ConsumeMessage, isOpen: () => boolean): Delivery {
    const again = () => { if (isOpen()) channel.nack(message, false, true); };
    return {
      body: message.content,
      count: Number(message.properties.headers?.["x-delivery-count"] ?? 0) + 1,
      extendMs: 0,
      ack: () => { if (isOpen()) channel.ack(message); },
      // It stays out meanwhile, and so does nothing else of this lane: RabbitMQ has no delay.
      giveBack: (delayMs?: number) => { delayMs ? setTimeout(again, Math.min(delayMs, PAUSE_MS)) : again(); },
    };
  }

  async publish({ address, id, body }: Message): Promise<void> {
    const { answers, returned } = await this.session();
    const properties = { persistent: true, mandatory: true, messageId: id, contentType: "application/cloudevents+json" };
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no confirm in time")), CONFIRM_MS);
      const confirm = (error: unknown) => { clearTimeout(timer); error ? reject(error) : resolve(); };
      answers.publish("", address, Buffer.from(body), properties, confirm);
    });
    if (returned.delete(id)) throw new Error("there is no such queue");
  }

  async close(): Promise<void> {
    const { connection } = await this.session();
    await connection.close();
  }
}
