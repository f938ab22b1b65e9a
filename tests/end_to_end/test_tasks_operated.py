"""Tasks that somebody steps into: cancelled, retried, resolved."""

import httpx

from stepbus.worker import Context, PermanentError
from tests.support.deployment import Deployment


async def test_a_task_cancelled_in_mid_step_stops_and_ignores_the_answer(deployment: Deployment) -> None:
    await deployment.register({"name": "held"}, {"name": "after", "depends_on": ["held"]})
    task_id = await deployment.submit()
    job = await deployment.job("held")

    await deployment.act(f"tasks/{task_id}/cancel", reason="ordered twice")
    await deployment.answer(job, result="too late")
    await deployment.until_ignored(task_id, "result.task_ended")

    task = await deployment.task(task_id)
    assert (task["status"], task["reason"]) == ("cancelled", "ordered twice")
    assert {step["state"] for step in (await deployment.steps(task_id)).values()} == {"cancelled"}
    await deployment.until_said(task_id, "task.accepted", "task.cancelled")


async def test_what_has_ended_can_neither_be_cancelled_nor_retried(deployment: Deployment) -> None:
    await deployment.register({"name": "quick"})
    task_id = await deployment.submit()
    await deployment.answer(await deployment.job("quick"))
    await deployment.ended(task_id)

    for path in (f"tasks/{task_id}/cancel", f"tasks/{task_id}/steps/quick/retry"):
        response = await deployment.http.post(f"/v1/{path}", json={})
        assert (response.status_code, response.json()["code"]) == (httpx.codes.CONFLICT, "task.ended")


async def test_a_failed_step_retried_by_an_operator_moves_its_task_on(deployment: Deployment) -> None:
    async def ship(context: Context) -> int:
        if context.attempt == 1:
            raise PermanentError("address.unknown")
        return context.attempt

    async def tell() -> str:
        return "told"

    await deployment.register({"name": "ship"}, {"name": "tell", "depends_on": ["ship"]})
    async with deployment.worker(ship=ship, tell=tell):
        task_id = await deployment.submit()
        assert (await deployment.ended(task_id))["status"] == "error"
        await deployment.act(f"tasks/{task_id}/steps/ship/retry", reason="address mended")
        await deployment.until_step(task_id, "tell", "complete")
        assert (await deployment.ended(task_id))["status"] == "complete"

    assert [event for event, _, _ in await deployment.history(task_id)] == [
        "TaskAccepted",
        "StepDispatched",
        "StepFailed",
        "TaskFailed",
        "TaskReopened",
        "StepReopened",
        "StepDispatched",
        "StepCompleted",
        "StepDispatched",
        "StepCompleted",
        "TaskCompleted",
    ]
    await deployment.until_said(task_id, "task.accepted", "task.failed", "task.reopened", "task.completed")


async def test_a_step_that_waits_for_its_retry_is_dispatched_at_once_if_an_operator_says_so(
    deployment: Deployment,
) -> None:
    await deployment.register({"name": "flaky", "retry": {"initial": "1h", "max": "1h"}})
    task_id = await deployment.submit()
    error = {"code": "busy", "retryable": True}
    await deployment.answer(await deployment.job("flaky"), "step.failed", error=error)
    await deployment.until_step(task_id, "flaky", "waiting_for_retry")

    await deployment.act(f"tasks/{task_id}/steps/flaky/retry")
    await deployment.answer(await deployment.job("flaky"))

    assert (await deployment.ended(task_id))["status"] == "complete"


async def test_a_result_given_by_an_operator_stands_for_the_workers(deployment: Deployment) -> None:
    async def weigh() -> None:
        raise PermanentError("scales.broken")

    async def post(_context: dict[str, object], weigh: dict[str, int]) -> int:
        return weigh["grams"] * 2

    await deployment.register({"name": "weigh"}, {"name": "post", "depends_on": ["weigh"]})
    async with deployment.worker(weigh=weigh, post=post):
        task_id = await deployment.submit()
        await deployment.ended(task_id)
        await deployment.act(f"tasks/{task_id}/steps/weigh/resolve", result={"grams": 21}, reason="weighed by hand")
        await deployment.until_step(task_id, "post", "complete")

    assert (await deployment.task(task_id))["status"] == "complete"
    assert await deployment.result(task_id, "post") == 42
    weighed = (await deployment.steps(task_id))["weigh"]
    assert (weighed["state"], weighed["resolution"]) == ("resolved_manually", "weighed by hand")


async def test_a_task_declared_done_is_done_whatever_its_steps_say(deployment: Deployment) -> None:
    await deployment.register({"name": "never"})
    task_id = await deployment.submit()

    await deployment.act(f"tasks/{task_id}/resolve", reason="done by telephone")

    task = await deployment.task(task_id)
    assert (task["status"], task["reason"]) == ("resolved_manually", "done by telephone")
    await deployment.until_said(task_id, "task.accepted", "task.resolved_manually")
