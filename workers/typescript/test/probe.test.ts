import assert from "node:assert/strict";
import { test } from "node:test";
import { PermanentError, writeAnnouncement } from "../src/contract.js";
import type { Job } from "../src/contract.js";
import { probe } from "../src/probe.js";

const ask = (context: Record<string, unknown>, beats: unknown[] = []) => {
  const job = { idempotencyKey: "t/s", timeoutMs: 60 } as Job;
  const heartbeat = async () => void beats.push(1);
  return probe({ context, results: {} }, { job, signal: new AbortController().signal, heartbeat });
};

test("the probe echoes, and has an effect once per key", async () => {
  assert.deepEqual(await ask({ do: "echo", value: [null] }), { echo: [null] });
  for (let time = 0; time < 2; time++) assert.deepEqual(await ask({ do: "effect" }), { effects: 1 });
});

test("the probe says that it is alive while it works, unless it is to be silent", async () => {
  for (const [silent, least] of [[false, 3], [true, 0]] as const) {
    const beats: unknown[] = [];
    assert.deepEqual(await ask({ do: "sleep", seconds: 0.2, silent }, beats), { slept: 0.2 });
    assert.equal(beats.length >= least && (!silent || !beats.length), true);
  }
});

test("the probe fails as it is told", async () => {
  const error = { code: "a.b", message: "m", options: { retryAfterSeconds: 2.5 } };
  await assert.rejects(async () => ask({ do: "fail", code: "a.b", message: "m", retryable: true, retry_after: 2.5 }), error);
  await assert.rejects(async () => ask({ do: "fail", code: "a.b", message: "m", retryable: false }), PermanentError);
  await assert.rejects(async () => ask({}), { code: "probe.unknown" });
});

test("an announcement says what is served, and for which contract", () => {
  const event = JSON.parse(new TextDecoder().decode(writeAnnouncement("w", ["a.b"]).body));
  assert.equal(event.type, "worker.announced");
  assert.deepEqual(event.data, { worker: "w", handlers: [{ handler: "a.b", contract: 1 }] });
});
