"""The handlers of the TypeScript worker once more, in Python: they serve where there is no Node.

workers/typescript/src/handlers.ts says the same. Whichever of the two answers, the coordinator sees no difference.
"""

from shop import Order, id_of

from stepbus.worker import Context, RetryableError, Worker

worker = Worker(concurrency=32)

BUSY_CARRIER = "hermod"
BUSY_FOR_S = 0.3


@worker.handler("orders.reserve_inventory")
async def reserve_inventory(order: Order, context: Context) -> dict[str, object]:
    """Set the goods aside."""
    reservation = id_of("res", context.idempotency_key)
    return {"reservation": reservation, "units": sum(item.quantity for item in order.items)}


@worker.handler("orders.create_shipment")
async def create_shipment(order: Order, context: Context) -> dict[str, str]:
    """Book the carrier. One of them is always busy when first asked, and says when to ask again."""
    carrier = order.delivery.carrier
    if carrier == BUSY_CARRIER and context.attempt == 1:
        raise RetryableError("carrier.busy", f"{carrier} takes no booking now", retry_after=BUSY_FOR_S)
    shipment = id_of("shp", context.idempotency_key)
    return {"shipment": shipment, "carrier": carrier, "label": f"{order.delivery.country}-{order.order_id}"}


@worker.handler("orders.send_confirmation")
async def send_confirmation(order: Order, context: Context) -> dict[str, str]:
    """Tell the customer, once: the mail's id is the step's, so the mail server drops a repeat."""
    return {"message": id_of("msg", context.idempotency_key), "sent_to": order.customer.email}


if __name__ == "__main__":
    worker.run()
