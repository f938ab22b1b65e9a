import { handlers } from "./handlers.js";
import { Worker } from "./worker.js";
import type { Options } from "./worker.js";

const options: Options = {};
const { env } = process;
if (env["STEPBUS_BUS"] || env["STEPBUS_NATS_URL"]) options.url = (env["STEPBUS_BUS"] || env["STEPBUS_NATS_URL"])!;
if (env["STEPBUS_WORKER"] || env["STEPBUS_WORKER_NAME"]) options.name = (env["STEPBUS_WORKER"] || env["STEPBUS_WORKER_NAME"])!;
if (env["STEPBUS_PREFIX"]) options.prefix = env["STEPBUS_PREFIX"];
if (env["STEPBUS_CONCURRENCY"]) options.concurrency = Number(env["STEPBUS_CONCURRENCY"]);
if (env["STEPBUS_DRAIN"]) options.graceMs = Number(env["STEPBUS_DRAIN"]) * 1_000;
if (env["STEPBUS_ANNOUNCE"]) options.isAnnounced = env["STEPBUS_ANNOUNCE"] === "1";

const worker = new Worker(options);
for (const [name, handler] of Object.entries(handlers)) worker.handle(name, handler);
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => worker.stop());
await worker.run();
process.exit(0); // a handler that ran past the grace would keep the process alive
