// A worker whose handlers do what a test asks of them; tests/end_to_end/test_workers_typescript.py runs it.

import { PermanentError, RetryableError } from "../src/contract.js";
import { Worker } from "../src/worker.js";
import type { Handler } from "../src/worker.js";

const pause = (ms: number, signal?: AbortSignal) =>
  new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    });
  });

const handlers: Record<string, Handler> = {
  "typescript.echo": ({ context, results }) => ({ context, results }),
  "typescript.retryable": () => {
    throw new RetryableError("stock.busy", "try later", { retryAfterSeconds: 1.5, details: { sku: "a" } });
  },
  "typescript.permanent": () => {
    throw new PermanentError("card.declined", "no money", { details: { bank: "b" } });
  },
  "typescript.unexpected": () => {
    throw new TypeError("not a function");
  },
  "typescript.slow": async ({ context }, { signal }) => {
    await pause(context["ms"] as number, signal);
    return { worker: process.env["WORKER_NAME"] };
  },
  "typescript.alive": async ({ context }, { signal, heartbeat }) => {
    for (let beat = 1; beat <= (context["beats"] as number); beat++) {
      await pause(context["ms"] as number, signal);
      await heartbeat({ beat });
    }
    return "done";
  },
  "typescript.result": ({ context }) =>
    ({ nan: NaN, big: "x".repeat(300_000), unsafe: 2 ** 53, nul: "\0", deep: deep(70), nothing: undefined })[context["kind"] as string],
};

function deep(levels: number): unknown {
  return levels === 0 ? 1 : [deep(levels - 1)];
}

const worker = new Worker({
  url: process.env["STEPBUS_BUS"]!,
  prefix: process.env["STEPBUS_PREFIX"]!,
  name: process.env["WORKER_NAME"]!,
  concurrency: 2,
  graceMs: Number(process.env["GRACE_MS"] ?? 5_000),
  maxDeliveries: 3,
});
for (const [name, handler] of Object.entries(handlers)) worker.handle(name, handler, "typescript");
process.once("SIGTERM", () => worker.stop());
await worker.run();
process.exit(0);
