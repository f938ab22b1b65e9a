"""A process that ends and begins again in the middle of tasks."""

from time import time

from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.deployment import cloud_event, deployed, opened_bus, send

OTHER = "0192b7c4-0000-7000-8000-000000000007"


async def test_tasks_go_on_where_they_stood_when_the_process_ended(settings: Settings) -> None:
    steps = (
        {"name": "first"},
        {"name": "second", "depends_on": ["first"]},
        {"name": "third", "depends_on": ["second"]},
    )
    async with deployed(settings) as before:
        await before.register(*steps)
        task_id = await before.submit(context={"order": 7})
        await before.answer(await before.job("first"), result=1)
        second = await before.job("second")
        await before.until_step(task_id, "second", "dispatched")
        history = await before.history(task_id)
    async with deployed(settings) as after:
        assert await after.history(task_id) == history
        await after.answer(second, result=2)
        third = await after.job("third")
        await after.answer(third, result=3)
        task = await after.ended(task_id)

        assert third["inputs"] == {"context": {"order": 7}, "results": {"second": 2}}
        assert task["status"] == "complete"
        assert [event for event, _, _ in await after.history(task_id)].count("StepDispatched") == 3


async def test_what_became_due_while_no_process_ran_is_done_at_the_start(settings: Settings) -> None:
    async with deployed(settings) as before:
        await before.register({"name": "busy", "retry": {"initial": "300ms", "jitter": 0}})
        retried, overdue = await before.submit(), await before.submit(timeout_ms=300)
        for _ in (retried, overdue):
            await before.answer(await before.job("busy"), "step.failed", error={"code": "busy"})
        step = await before.until_step(retried, "busy", "waiting_for_retry")
        task = await before.task(overdue)
    await wait_until(lambda: time() * 1000 > max(step["retry_at_ms"], task["deadline_at_ms"]))
    async with deployed(settings) as after:
        assert (await after.ended(overdue))["code"] == "task.deadline_exceeded"
        job = await after.job("busy")
        assert (job["task_id"], job["attempt"]) == (retried, 2)
        await after.answer(job)
        assert (await after.ended(retried))["status"] == "complete"


async def test_what_was_sent_while_no_process_ran_is_taken_in_at_the_start(settings: Settings) -> None:
    async with deployed(settings) as before:
        await before.register({"name": "first"}, {"name": "second", "depends_on": ["first"]})
        task_id = await before.submit()
        answer = before.answer_to(await before.job("first"), result=1)
    async with opened_bus(settings) as bus:
        request = {"template": "example", "namespace": "test", "task_id": OTHER}
        await send(bus, *answer)
        await send(bus, "tasks", cloud_event("task.requested", request))
    async with deployed(settings) as after:
        await after.answer(await after.job("second"))

        assert (await after.ended(task_id))["status"] == "complete"
        assert (await after.until_step(OTHER, "first", "dispatched"))["attempt"] == 1
