// What a worker needs of a broker.

import { describe } from "./contract.js";

/** A message of a queue, and what its broker can be told of it. What a broker has no word for is left out. */
export interface Delivery {
  body: Uint8Array;
  /** How often it was delivered by now; 1 where the broker does not count. */
  count: number;
  ack(): void;
  /** Let it be delivered again, to whomever, after about this time. */
  giveBack?(delayMs?: number): void;
  /** Say, each `extendMs`, that it is still in hand. */
  extend?(): void;
  extendMs: number;
}

/** What is sent: under its own id however often it is sent. */
export interface Message {
  address: string;
  id: string;
  /** The task's id, so that what is said of a task stays in order. */
  key: string;
  body: Uint8Array;
}

export type Take = (delivery: Delivery) => Promise<void>;

export interface Bus {
  /** Take messages of a queue, so many at once, until the signal. A lost connection is made anew. */
  consume(queue: string, concurrency: number, signal: AbortSignal, take: Take): Promise<void>;
  /** Resolves when the broker has confirmed the message. */
  publish(message: Message): Promise<void>;
  close(): Promise<void>;
}

export const CONFIRM_MS = 5_000;
const PAUSE_MS = 1_000;

export const delay = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
export const log = (text: string) => console.log(`${new Date().toISOString()} ${text}`);

export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** Keep so many lanes of a queue going until the signal, each on its own: one that breaks is begun again. */
export async function lanes(queue: string, count: number, signal: AbortSignal, lane: () => Promise<void>): Promise<void> {
  const kept = async () => {
    while (!signal.aborted) {
      await lane().catch(async (error: unknown) => {
        log(`queue ${queue}: ${describe(error)}; trying again`);
        await delay(PAUSE_MS);
      });
    }
  };
  await Promise.all(Array.from({ length: count }, kept));
}
