"""The warehouse and the post room of examples/order_fulfilment, and the probe that the conformance kit asks for.

Every effect's id is made of the idempotency key of its step: what was done once is found again, not done twice.
"""

import asyncio
import hashlib
from typing import Any

from plain.contract import Failed
from plain.worker import Attempt, Handler

_BUSY_CARRIER = "hermod"
_effects: dict[str, int] = {}


async def reserve_inventory(attempt: Attempt) -> Any:
    units = sum(item["quantity"] for item in attempt.job.context["items"])
    return {"reservation": _id_of("res", attempt), "units": units}


async def create_shipment(attempt: Attempt) -> Any:
    """One carrier is always busy when first asked, and says when to ask again."""
    order = attempt.job.context
    carrier, country = order["delivery"]["carrier"], order["delivery"]["country"]
    if carrier == _BUSY_CARRIER and attempt.job.data["attempt"] == 1:
        raise Failed("carrier.busy", f"{carrier} takes no booking now", retryable=True, retry_after=0.3)
    return {"shipment": _id_of("shp", attempt), "carrier": carrier, "label": f"{country}-{order['order_id']}"}


async def send_confirmation(attempt: Attempt) -> Any:
    return {"message": _id_of("msg", attempt), "sent_to": attempt.job.context["customer"]["email"]}


async def probe(attempt: Attempt) -> Any:
    """Do what the context asks for."""
    match attempt.job.context:
        case {"do": "echo", **wish}:
            return {"echo": wish.get("value")}
        case {"do": "sleep", "seconds": int() | float() as seconds, **wish}:
            await _work(attempt, seconds, is_silent=wish.get("silent") is True)
            return {"slept": seconds}
        case {"do": "fail", "code": str() as code, **wish}:
            message, after = str(wish.get("message", "")), wish.get("retry_after")
            raise Failed(code, message, retryable=wish.get("retryable") is True, retry_after=after)
        case {"do": "big", "size": int() as size}:
            return {"blob": "x" * size}
        case {"do": "effect"}:
            return {"effects": _once(attempt.job.data["idempotency_key"])}
    raise Failed("probe.unknown", "expected to do echo, sleep, fail, big or effect")


async def _work(attempt: Attempt, seconds: float, *, is_silent: bool) -> None:
    """Take this long, and say meanwhile that the attempt is alive, unless it is to be silent."""
    end = asyncio.get_running_loop().time() + seconds
    pause = min(attempt.job.timeout_s / 3, 1.0)
    while (left := end - asyncio.get_running_loop().time()) > 0:
        await asyncio.sleep(left if is_silent else min(left, pause))
        if left > pause and not is_silent:
            await attempt.heartbeat()


def _once(key: str) -> int:
    """Have the effect of a key if nobody had it yet; give how often it was had. A real one is kept in a database."""
    if key not in _effects:
        _effects[key] = 1
    return _effects[key]


def _id_of(kind: str, attempt: Attempt) -> str:
    return f"{kind}-{hashlib.sha256(attempt.job.data['idempotency_key'].encode()).hexdigest()[:12]}"


HANDLERS: dict[str, Handler] = {
    "orders.reserve_inventory": reserve_inventory,
    "orders.create_shipment": create_shipment,
    "orders.send_confirmation": send_confirmation,
    "conform.probe": probe,
}
