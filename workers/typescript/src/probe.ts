// The handler that the conformance kit asks for: it does what the task's context says.

import { setTimeout as pause } from "node:timers/promises";
import { PermanentError, RetryableError } from "./contract.js";
import type { Context, Handler } from "./worker.js";

const effects = new Map<string, number>();

export const probe: Handler = async ({ context }, attempt) => {
  switch (context["do"]) {
    case "echo": return { echo: context["value"] };
    case "sleep": return work(context["seconds"], context["silent"] === true, attempt);
    case "fail": return fail(context);
    case "big": return { blob: "x".repeat(Number(context["size"])) };
    case "effect": return { effects: once(attempt.job.idempotencyKey) };
    default: throw new PermanentError("probe.unknown", "expected to do echo, sleep, fail, big or effect");
  }
};

/** Take this long, and say meanwhile that the attempt is alive, unless it is to be silent. */
async function work(seconds: unknown, isSilent: boolean, { job, signal, heartbeat }: Context): Promise<unknown> {
  const endMs = performance.now() + Number(seconds) * 1_000;
  const beatMs = Math.min(job.timeoutMs / 3, 1_000);
  for (let leftMs = endMs - performance.now(); leftMs > 0; leftMs = endMs - performance.now()) {
    await pause(Math.min(leftMs, beatMs), undefined, { signal });
    if (!isSilent && leftMs > beatMs) await heartbeat();
  }
  return { slept: seconds };
}

function fail({ code, message, retryable, retry_after }: Record<string, unknown>): never {
  if (!retryable) throw new PermanentError(String(code), String(message ?? ""));
  const after = typeof retry_after === "number" ? { retryAfterSeconds: retry_after } : {};
  throw new RetryableError(String(code), String(message ?? ""), after);
}

/** Have the effect of a key if nobody had it yet; give how often it was had. A real one is kept in a database. */
function once(key: string): number {
  if (!effects.has(key)) effects.set(key, 1);
  return effects.get(key)!;
}
