// Example handlers: the shipping side of an order. Each effect is keyed by the idempotency key of its step, which is the same
// for every attempt: what was done once is found again, not done twice.

import { createHash } from "node:crypto";
import { PermanentError, RetryableError } from "./contract.js";
import type { Handler } from "./worker.js";

interface Item {
  sku: string;
  quantity: number;
}

const reservations = new Map<string, object>();
const shipments = new Map<string, object>();
const sent = new Map<string, object>();

export const reserveInventory: Handler = async ({ context }, { job, heartbeat }) => {
  const items = itemsOf(context);
  if (items.length === 0) throw new PermanentError("inventory.nothing_to_reserve", "expected at least one item");
  const missing = items.find((item) => item.sku.startsWith("OUT-OF-STOCK"));
  if (missing) throw new PermanentError("inventory.out_of_stock", `${missing.sku} is out of stock`, { details: { sku: missing.sku } });
  const late = items.find((item) => item.sku.startsWith("LATE") && job.attempt === 1);
  if (late) throw new RetryableError("inventory.busy", `${late.sku} is being counted`, { retryAfterSeconds: 0.5 });
  await heartbeat({ reserved: 0, of: items.length });
  return once(reservations, job.idempotencyKey, () => ({ reservation: idOf("res", job.idempotencyKey), items }));
};

export const createShipment: Handler = ({ context }, { job }) => {
  const address = context["address"] ?? null;
  return once(shipments, job.idempotencyKey, () => ({ shipment: idOf("shp", job.idempotencyKey), carrier: "post", address }));
};

export const sendConfirmation: Handler = ({ context, results }, { job }) =>
  once(sent, job.idempotencyKey, () => ({ sent_to: context["email"] ?? null, about: Object.keys(results).sort() }));

export const handlers: Record<string, Handler> = {
  "orders.reserve_inventory": reserveInventory,
  "orders.create_shipment": createShipment,
  "orders.send_confirmation": sendConfirmation,
};

function itemsOf(context: Record<string, unknown>): Item[] {
  const items = context["items"];
  if (!Array.isArray(items)) throw new PermanentError("inventory.invalid_items", "expected items to be an array");
  return items as Item[];
}

function once(ledger: Map<string, object>, key: string, effect: () => object): object {
  const found = ledger.get(key) ?? effect();
  ledger.set(key, found);
  return found;
}

function idOf(kind: string, key: string): string {
  return `${kind}-${createHash("sha256").update(key).digest("hex").slice(0, 12)}`;
}
