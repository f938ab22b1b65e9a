import { handlers } from "./handlers.js";
import { Worker } from "./worker.js";
import type { Options } from "./worker.js";

const options: Options = {};
if (process.env["STEPBUS_NATS_URL"]) options.url = process.env["STEPBUS_NATS_URL"];
if (process.env["STEPBUS_WORKER_NAME"]) options.name = process.env["STEPBUS_WORKER_NAME"];
if (process.env["STEPBUS_PREFIX"]) options.prefix = process.env["STEPBUS_PREFIX"];

const worker = new Worker(options);
for (const [name, handler] of Object.entries(handlers)) worker.handle(name, handler);
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => worker.stop());
await worker.run();
process.exit(0); // a handler that ran past the grace would keep the process alive
