// Example handlers: the warehouse and the post room of examples/order_fulfilment, whose template.yaml says what each must
// give. Every effect's id is made of the idempotency key of its step, which is the same for every attempt: what was done
// once is found again, not done twice.

import { createHash } from "node:crypto";
import { PermanentError, RetryableError } from "./contract.js";
import { probe } from "./probe.js";
import type { Handler } from "./worker.js";

const BUSY_CARRIER = "hermod";

interface Order {
  order_id: string;
  customer: { email: string };
  items: { quantity: number }[];
  delivery: { country: string; carrier: string };
}

export const reserveInventory: Handler = ({ context }, { job }) => {
  const units = orderOf(context).items.reduce((sum, { quantity }) => sum + quantity, 0);
  return { reservation: idOf("res", job.idempotencyKey), units };
};

/** One carrier is always busy when first asked, and says when to ask again. */
export const createShipment: Handler = ({ context }, { job }) => {
  const { order_id, delivery: { country, carrier } } = orderOf(context);
  if (carrier === BUSY_CARRIER && job.attempt === 1) {
    throw new RetryableError("carrier.busy", `${carrier} takes no booking now`, { retryAfterSeconds: 0.3 });
  }
  return { shipment: idOf("shp", job.idempotencyKey), carrier, label: `${country}-${order_id}` };
};

export const sendConfirmation: Handler = ({ context }, { job }) =>
  ({ message: idOf("msg", job.idempotencyKey), sent_to: orderOf(context).customer.email });

export const handlers: Record<string, Handler> = {
  "orders.reserve_inventory": reserveInventory,
  "orders.create_shipment": createShipment,
  "orders.send_confirmation": sendConfirmation,
  "conform.probe": probe,
};

/** The template's context_schema has seen to it that an order is whole; a task of another template would not be. */
function orderOf(context: Record<string, unknown>): Order {
  if (!Array.isArray(context["items"]) || typeof context["delivery"] !== "object" || typeof context["customer"] !== "object") {
    throw new PermanentError("order.invalid", "expected an order with items, delivery and customer");
  }
  return context as unknown as Order;
}

function idOf(kind: string, key: string): string {
  return `${kind}-${createHash("sha256").update(key).digest("hex").slice(0, 12)}`;
}
