// Which broker a URL leads to.

import type { Bus } from "./bus.js";
import { connectKafka } from "./kafka.js";
import { connectNats } from "./nats.js";
import { connectRabbitMQ } from "./rabbitmq.js";

export type Connect = (url: string, prefix: string, name: string) => Promise<Bus>;

const BROKERS: Record<string, Connect> = {
  nats: connectNats, tls: connectNats, amqp: connectRabbitMQ, amqps: connectRabbitMQ, kafka: connectKafka,
};

export function brokerOf(url: string): Connect {
  const connect = BROKERS[url.split(":", 1)[0]!];
  if (!connect) throw new Error(`expected a URL with one of the schemes ${Object.keys(BROKERS).join(", ")}`);
  return connect;
}
