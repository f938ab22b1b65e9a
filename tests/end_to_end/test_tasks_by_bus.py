"""Clients that know the bus alone: requests, replies, cancellation."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from stepbus.contracts import codec
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.deployment import Deployment, cloud_event

Reply = Callable[[], Any]


@asynccontextmanager
async def replies(deployment: Deployment) -> AsyncIterator[tuple[str, Callable[[], Any]]]:
    """An address for replies, and what gives the next one."""
    subscription = await deployment.bus.listen("replies.client-1", from_start=False)

    async def reply() -> Any:
        received: list[Any] = []

        async def has_come() -> bool:
            received.extend(await subscription.receive(1, 1.0))
            return bool(received)

        await wait_until(has_come, within_s=20)
        return codec.decode(received[0].body)

    yield deployment.bus.address("replies.client-1"), reply
    await subscription.close()


async def test_a_request_is_answered_with_the_task_and_its_place_in_the_log(deployment: Deployment) -> None:
    await deployment.register({"name": "step"})
    async with replies(deployment) as (address, reply):
        task_id = str(uuid4())
        request = {"template": "example", "namespace": "test", "task_id": task_id, "replyto": address}
        await deployment.send("tasks", cloud_event("task.requested", request, correlationid="order-7"))
        accepted = await reply()

    assert (accepted["type"], accepted["correlationid"]) == ("task.accepted", "order-7")
    assert accepted["data"]["task_id"] == task_id
    assert (accepted["data"]["name"], accepted["data"]["version"]) == ("example", "1.0.0")
    task = await deployment.get(f"tasks/{task_id}", min_position=accepted["data"]["position"])
    assert (task["status"], task["actor"], task["correlation_id"]) == ("in_progress", "client/test", "order-7")


async def test_a_refused_request_is_answered_with_every_reason_and_kept(deployment: Deployment) -> None:
    schema = {"type": "object", "required": ["id"], "properties": {"amount": {"type": "number", "minimum": 0}}}
    await deployment.register({"name": "step"}, context_schema=schema)
    async with replies(deployment) as (address, reply):
        request = {"template": "example", "namespace": "test", "context": {"amount": -1}, "replyto": address}
        await deployment.send("tasks", cloud_event("task.requested", request, "request-9"))
        rejected = await reply()

    assert rejected["type"] == "task.rejected"
    assert rejected["data"]["request_id"] == "/test/request-9"
    pointers = {problem["pointer"] for problem in rejected["data"]["problems"]}
    assert pointers == {"/data/context", "/data/context/amount"}
    (kept,) = await deployment.quarantined(1)
    assert kept["request_id"] == "/test/request-9"


async def test_the_same_request_sent_twice_makes_one_task(deployment: Deployment) -> None:
    await deployment.register({"name": "step"})
    body = cloud_event("task.requested", {"template": "example", "namespace": "test"}, "request-1")
    await deployment.send("tasks", body)
    await deployment.send("tasks", body)
    other = await deployment.submit()
    await deployment.answer(await deployment.job("step"))
    await deployment.answer(await deployment.job("step"))
    await deployment.ended(other)

    assert len((await deployment.get("tasks"))["tasks"]) == 2


async def test_a_task_can_be_cancelled_over_the_bus(deployment: Deployment) -> None:
    await deployment.register({"name": "step"})
    task_id = await deployment.submit()
    cancel = cloud_event("task.cancel_requested", {"task_id": task_id, "reason": "changed my mind"})
    await deployment.send("tasks", cancel)

    task = await deployment.ended(task_id)
    assert (task["status"], task["reason"]) == ("cancelled", "changed my mind")
