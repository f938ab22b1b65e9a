"""What an order looks like, and how the ids of its effects are made."""

from datetime import date
from hashlib import sha256

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of an order. What a newer shop adds, an older worker lets be."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Customer(Part):
    """Who orders."""

    name: str
    email: str
    customer_since: date


class Item(Part):
    """One line of the basket."""

    sku: str
    title: str
    quantity: int
    unit_price_cents: int


class Payment(Part):
    """How it is paid."""

    card_last4: str
    currency: str


class Delivery(Part):
    """Where it goes, and who carries it."""

    street: str
    city: str
    postcode: str
    country: str
    carrier: str
    fragile: bool


class Order(Part):
    """The context of a task."""

    order_id: str
    customer: Customer
    items: list[Item]
    payment: Payment
    delivery: Delivery


def id_of(kind: str, idempotency_key: str) -> str:
    """Give the id of an effect: the same for every attempt of its step, so that a repeat finds what was done before."""
    return f"{kind}-{sha256(idempotency_key.encode()).hexdigest()[:12]}"
