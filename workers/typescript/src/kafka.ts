// Kafka: a topic and a consumer group for each queue. A job's offset is committed when its answer is confirmed.

import { Kafka, PartitionAssigners, logLevel } from "kafkajs";
import type { PartitionAssigner, Producer } from "kafkajs";
import { aborted, lanes } from "./bus.js";
import type { Bus, Message, Take } from "./bus.js";

const HEARTBEAT_MS = 3_000;
const SESSION_MS = 10_000; // after which others get the jobs of a worker that was killed
const ANY_PARTITION = 0;

/** Whoever reads a queue, in any language, must know one way in common of sharing its partitions, which is "range". */
const range: PartitionAssigner = (config) => ({ ...PartitionAssigners.roundRobin(config), name: "range" });

export async function connectKafka(url: string, prefix: string, name: string): Promise<Bus> {
  const brokers = url.replace(/^kafka:\/\//, "").split(/[/?]/, 1)[0]!.split(",");
  const kafka = new Kafka({ clientId: name, brokers, logLevel: logLevel.NOTHING });
  const producer = kafka.producer({ allowAutoTopicCreation: false, idempotent: true, maxInFlightRequests: 5 });
  await producer.connect();
  return new KafkaBus(kafka, producer, prefix);
}

class KafkaBus implements Bus {
  constructor(private readonly kafka: Kafka, private readonly producer: Producer, private readonly prefix: string) {}

  /** Each partition has one job out at a time, so there is no more at once than the topic has partitions. */
  consume(queue: string, concurrency: number, signal: AbortSignal, take: Take): Promise<void> {
    const topic = `${this.prefix}.jobs.${queue}`;
    return lanes(queue, 1, signal, async () => {
      const retry = { restartOnFailure: async () => false };
      const group = { groupId: topic, sessionTimeout: SESSION_MS, heartbeatInterval: HEARTBEAT_MS, partitionAssigners: [range] };
      const consumer = this.kafka.consumer({ ...group, allowAutoTopicCreation: false, retry });
      const crashed = new Promise<void>((_, reject) => consumer.on("consumer.crash", ({ payload }) => reject(payload.error)));
      try {
        await consumer.connect();
        await consumer.subscribe({ topic, fromBeginning: true });
        await consumer.run({
          autoCommit: false, partitionsConsumedConcurrently: concurrency,
          eachMessage: async ({ partition, message, heartbeat }) => {
            let isDone = false;
            await take({
              body: message.value ?? new Uint8Array(), count: 1, extendMs: HEARTBEAT_MS, ack: () => { isDone = true; },
              extend: () => void heartbeat().catch(() => undefined),
            });
            if (!isDone) return;
            await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(message.offset) + 1n) }]);
          },
        });
        await Promise.race([crashed, aborted(signal)]);
      } finally {
        await consumer.disconnect();
      }
    });
  }

  /** `<prefix>.results.<n>` is partition n of the topic `<prefix>.results`. */
  async publish({ address, key, body }: Message): Promise<void> {
    const [, topic, number] = /^(.*\.results)\.(\d+)$/.exec(address) ?? [address, address, ANY_PARTITION];
    const message = { key, value: Buffer.from(body), partition: Number(number), headers: { "content-type": "application/cloudevents+json" } };
    await this.producer.send({ topic: topic!, acks: -1, messages: [message] });
  }

  async close(): Promise<void> {
    await this.producer.disconnect();
  }
}
