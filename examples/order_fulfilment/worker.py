"""The Python worker: the shop's desk, the bank, the fraud check and the packing table.

`python -m stepbus.worker worker:worker`, run in this folder, serves it on its own.

What goes wrong here goes wrong by a rule of the order itself, so that every run of the demo tells the same story.
"""

import asyncio
from datetime import date
from typing import Annotated

from pydantic import BaseModel
from shop import Order, id_of

from stepbus.worker import Context, PermanentError, ResultOf, Worker

worker = Worker(concurrency=32)

DECLINED_CARD = "0002"
SLEEPY_BUREAUS = {"IS"}
BANK_S, BUREAU_S = 0.1, 0.2
CAREFULLY_S, QUICKLY_S = 0.4, 0.02
UNITS_A_PARCEL = 12
NEWCOMERS_SINCE = date(2026, 1, 1)
WATCHED_ABOVE = 0.3


class Validated(BaseModel):
    """The sums of an order."""

    total_cents: int
    units: int


class Authorised(BaseModel):
    """Money that the bank holds."""

    authorisation: str
    amount_cents: int


class FraudReport(BaseModel):
    """What the bureau thinks."""

    score: float
    verdict: str


class Approval(BaseModel):
    """The order goes ahead."""

    approved: bool
    watched: bool


class Packed(BaseModel):
    """Parcels on the table."""

    parcels: int
    packed_by: str


AuthorisedResult = Annotated[Authorised, ResultOf("authorise_payment")]
PackedResult = Annotated[Packed, ResultOf("pack_order")]
ShipmentResult = Annotated[dict[str, str], ResultOf("create_shipment")]


@worker.handler("orders.validate_order")
async def validate_order(order: Order) -> Validated:
    """Add up the basket."""
    skus = [item.sku for item in order.items]
    if twice := sorted({sku for sku in skus if skus.count(sku) > 1}):
        raise PermanentError("order.sku_twice", f"expected each article once, found {', '.join(twice)} again")
    return Validated(
        total_cents=sum(item.quantity * item.unit_price_cents for item in order.items),
        units=sum(item.quantity for item in order.items),
    )


@worker.handler("orders.authorise_payment")
async def authorise_payment(order: Order, context: Context, validate_order: Validated) -> Authorised:
    """Have the bank hold the money. A declined card stays declined, however often it is asked about."""
    await asyncio.sleep(BANK_S)
    if order.payment.card_last4 == DECLINED_CARD:
        amount = f"{validate_order.total_cents / 100:.2f} {order.payment.currency}"
        raise PermanentError("card.declined", f"the bank does not hold {amount}", details={"card": DECLINED_CARD})
    return Authorised(authorisation=id_of("auth", context.idempotency_key), amount_cents=validate_order.total_cents)


@worker.handler("orders.check_fraud")
async def check_fraud(order: Order, context: Context, validate_order: Validated) -> FraudReport:
    """Ask the bureau of the customer's country. One of them sleeps through the first question."""
    if order.delivery.country in SLEEPY_BUREAUS and context.attempt == 1:
        await asyncio.Event().wait()
    await asyncio.sleep(BUREAU_S)
    is_new = order.customer.customer_since >= NEWCOMERS_SINCE
    score = round(min(0.9, 0.05 + 0.3 * is_new + validate_order.total_cents / 1_000_000), 3)
    return FraudReport(score=score, verdict="watched" if score > WATCHED_ABOVE else "clear")


@worker.handler("orders.approve_order")
async def approve_order(order: Order, context: Context, check_fraud: FraudReport) -> Approval:
    """See that goods, money and bureau agree."""
    context.logger.info("order %s goes ahead", order.order_id)
    return Approval(approved=True, watched=check_fraud.verdict == "watched")


@worker.handler("orders.pack_order")
async def pack_order(order: Order, context: Context) -> Packed:
    """Pack unit by unit. Each heartbeat gives the step its time anew, so a large order may take longer than it."""
    units = sum(item.quantity for item in order.items)
    for packed in range(units):
        await context.heartbeat({"packed": packed, "of": units})
        await asyncio.sleep(CAREFULLY_S if order.delivery.fragile else QUICKLY_S)
    return Packed(parcels=-(-units // UNITS_A_PARCEL), packed_by=worker.options.name)


@worker.handler("orders.dispatch_parcel")
async def dispatch_parcel(packed: PackedResult, booked: ShipmentResult) -> dict[str, object]:
    """Hand over what was packed, under the label that was booked."""
    return {"handed_over": booked["label"], "parcels": packed.parcels}


@worker.handler("orders.capture_payment")
async def capture_payment(context: Context, held: AuthorisedResult) -> dict[str, object]:
    """Take the money that is held."""
    return {"receipt": id_of("rct", context.idempotency_key), "amount_cents": held.amount_cents}


if __name__ == "__main__":
    worker.run()
