"""Tasks from their request to their end, with a worker."""

import asyncio
from itertools import count
from typing import Any

from pydantic import BaseModel

from stepbus.worker import Context, PermanentError, RetryableError
from tests.support.deployment import Deployment


class Basket(BaseModel):
    prices: list[int]


async def test_steps_run_in_order_and_hand_on_their_results(deployment: Deployment) -> None:
    async def total(basket: Basket) -> int:
        return sum(basket.prices)

    async def tax(_basket: Basket, total: int) -> float:
        return total * 20 / 100

    async def ship(_basket: Basket, total: int) -> str:
        return "free" if total > 10 else "paid"

    async def bill(_basket: Basket, tax: float, ship: str) -> dict[str, Any]:
        return {"tax": tax, "shipping": ship}

    await deployment.register(
        {"name": "total"},
        {"name": "tax", "depends_on": ["total"]},
        {"name": "ship", "depends_on": ["total"]},
        {"name": "bill", "depends_on": ["tax", "ship"]},
    )
    async with deployment.worker(total=total, tax=tax, ship=ship, bill=bill):
        task_id = await deployment.submit(context={"prices": [5, 7]})
        task = await deployment.ended(task_id)

    assert (task["status"], task["completion_percentage"]) == ("complete", 100)
    assert task["execution"]["execution_status"] == "all_complete"
    assert await deployment.result(task_id, "bill") == {"tax": 2.4, "shipping": "free"}
    history = await deployment.history(task_id)
    assert history[:2] == [("TaskAccepted", "", 0), ("StepDispatched", "total", 1)]
    assert history[2:5] == [("StepCompleted", "total", 1), ("StepDispatched", "tax", 1), ("StepDispatched", "ship", 1)]
    assert history[-3:] == [("StepDispatched", "bill", 1), ("StepCompleted", "bill", 1), ("TaskCompleted", "", 0)]
    await deployment.until_said(task_id, "task.accepted", "task.completed")


async def test_a_step_that_fails_is_tried_again_until_it_succeeds(deployment: Deployment) -> None:
    async def flaky(context: Context) -> int:
        if context.attempt < 3:
            raise RetryableError("carrier.busy", "call again", retry_after=0.01)
        return context.attempt

    await deployment.register({"name": "flaky"})
    async with deployment.worker(flaky=flaky):
        task_id = await deployment.submit()
        assert (await deployment.ended(task_id))["status"] == "complete"

    assert await deployment.result(task_id, "flaky") == 3
    assert await deployment.attempts(task_id) == [
        ("flaky", 1, "failed", "carrier.busy"),
        ("flaky", 2, "failed", "carrier.busy"),
        ("flaky", 3, "completed", None),
    ]


async def test_after_its_last_attempt_a_step_has_failed_and_the_task_is_in_error(deployment: Deployment) -> None:
    async def broken() -> None:
        raise LookupError("no such row")

    await deployment.register({"name": "broken"}, {"name": "after", "depends_on": ["broken"]})
    async with deployment.worker(broken=broken):
        task_id = await deployment.submit()
        task = await deployment.ended(task_id)

    assert (task["status"], task["failed_steps"]) == ("error", ["broken"])
    assert task["execution"]["execution_status"] == "blocked_by_failures"
    assert [attempt for _, attempt, _, _ in await deployment.attempts(task_id)] == [1, 2, 3]
    after = (await deployment.steps(task_id))["after"]
    assert (after["state"], after["readiness"]["waits_for"]) == ("pending", ["broken"])
    await deployment.until_said(task_id, "task.accepted", "task.failed")


async def test_a_permanent_error_is_not_tried_again_and_stops_no_other_branch(deployment: Deployment) -> None:
    async def pay() -> None:
        raise PermanentError("card.declined", "no money", details={"bank": "b"})

    async def pack() -> str:
        await asyncio.sleep(0.05)
        return "packed"

    await deployment.register({"name": "pay"}, {"name": "pack"}, {"name": "ship", "depends_on": ["pay", "pack"]})
    async with deployment.worker(pay=pay, pack=pack):
        task_id = await deployment.submit()
        task = await deployment.ended(task_id)

    steps = await deployment.steps(task_id)
    assert task["status"] == "error"
    assert {name: step["state"] for name, step in steps.items()} == {
        "pay": "error",
        "pack": "complete",
        "ship": "pending",
    }
    failure = steps["pay"]["last_failure"]
    assert (failure["code"], failure["message"], failure["details"]) == ("card.declined", "no money", {"bank": "b"})
    assert steps["pay"]["attempt"] == 1


async def test_an_attempt_without_an_answer_times_out_and_the_next_one_may_succeed(deployment: Deployment) -> None:
    await deployment.register({"name": "slow", "timeout": "300ms"})
    task_id = await deployment.submit()
    first = await deployment.job("slow")
    second = await deployment.job("slow")
    await deployment.answer(second, result="at last")

    assert (await deployment.ended(task_id))["status"] == "complete"
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert first["idempotency_key"] == second["idempotency_key"]
    assert await deployment.attempts(task_id) == [
        ("slow", 1, "timed_out", "step.timed_out"),
        ("slow", 2, "completed", None),
    ]


async def test_heartbeats_keep_an_attempt_alive_past_its_time_and_show_its_progress(deployment: Deployment) -> None:
    async def long(context: Context) -> str:
        for beat in count(1):
            await context.heartbeat({"done": beat})
            await asyncio.sleep(0.1)
            if beat == 12:
                break
        return "done"

    await deployment.register({"name": "long", "timeout": "600ms"})
    async with deployment.worker(long=long):
        task_id = await deployment.submit()
        step = await deployment.until_step(task_id, "long", "in_progress")
        assert (step["worker"], step["progress"]) == ("w-1", {"done": 1})
        assert (await deployment.ended(task_id))["status"] == "complete"

    assert await deployment.attempts(task_id) == [("long", 1, "completed", None)]


async def test_a_task_that_takes_too_long_as_a_whole_fails(deployment: Deployment) -> None:
    await deployment.register({"name": "never"}, {"name": "after", "depends_on": ["never"]})
    task_id = await deployment.submit(timeout_ms=200)
    task = await deployment.ended(task_id)

    assert (task["status"], task["code"]) == ("error", "task.deadline_exceeded")
    assert (await deployment.steps(task_id))["never"]["state"] == "cancelled"


async def test_a_step_that_the_request_leaves_out_counts_as_satisfied(deployment: Deployment) -> None:
    async def pay() -> str:
        return "paid"

    await deployment.register({"name": "gift_wrap", "skippable": True}, {"name": "pay", "depends_on": ["gift_wrap"]})
    async with deployment.worker(pay=pay):
        task_id = await deployment.submit(bypass_steps=["gift_wrap"])
        assert (await deployment.ended(task_id))["status"] == "complete"

    assert (await deployment.steps(task_id))["gift_wrap"]["state"] == "bypassed"


async def test_a_request_repeated_under_its_key_is_the_same_task(deployment: Deployment) -> None:
    await deployment.register({"name": "step"})
    first = await deployment.submit(idempotency_key="order-7")
    second = await deployment.submit(idempotency_key="order-7")

    assert first == second
    await deployment.until_step(first, "step", "dispatched")
    assert [task["task_id"] for task in (await deployment.get("tasks"))["tasks"]] == [first]


async def test_a_running_task_keeps_the_template_that_it_started_with(deployment: Deployment) -> None:
    await deployment.register({"name": "first"}, {"name": "second", "depends_on": ["first"]})
    running = await deployment.submit()
    job = await deployment.job("first")
    await deployment.register({"name": "only"}, version="2.0.0", force=True)  # it breaks with what runs
    begun_later = await deployment.submit()
    await deployment.answer(job)
    await deployment.answer(await deployment.job("second"))
    await deployment.answer(await deployment.job("only"))

    assert [(await deployment.ended(task))["version"] for task in (running, begun_later)] == ["1.0.0", "2.0.0"]
    assert set(await deployment.steps(running)) == {"first", "second"}
