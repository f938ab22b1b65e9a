"""Answers that come twice, too late, or not as the template wants them."""

from tests.support.deployment import Deployment


async def test_a_result_delivered_twice_counts_once_and_is_seen(deployment: Deployment) -> None:
    await deployment.register({"name": "first"}, {"name": "last", "depends_on": ["first"]})
    task_id = await deployment.submit()
    job = await deployment.job("first")
    await deployment.answer(job, result=1)
    await deployment.answer(job, result=1)
    await deployment.answer(job, result=2)
    await deployment.until_ignored(task_id, "result.conflicting", "result.duplicate")
    await deployment.answer(await deployment.job("last"))

    assert (await deployment.ended(task_id))["status"] == "complete"
    assert await deployment.result(task_id, "first") == 1
    history = await deployment.history(task_id)
    assert history.count(("StepCompleted", "first", 1)) == 1
    assert history.count(("StepDispatched", "last", 1)) == 1


async def test_an_answer_that_comes_after_its_time_changes_nothing_and_is_seen(deployment: Deployment) -> None:
    await deployment.register({"name": "slow", "timeout": "500ms"})
    task_id = await deployment.submit()
    first, second = await deployment.job("slow"), await deployment.job("slow")
    await deployment.answer(first, result="late")
    await deployment.answer(second, result="in time")
    await deployment.until_ignored(task_id, "result.superseded")

    assert (await deployment.ended(task_id))["status"] == "complete"
    assert await deployment.result(task_id, "slow") == "in time"


async def test_a_late_answer_between_two_attempts_changes_nothing(deployment: Deployment) -> None:
    await deployment.register({"name": "slow", "timeout": "100ms", "retry": {"initial": "1h", "max": "1h"}})
    task_id = await deployment.submit()
    job = await deployment.job("slow")
    await deployment.until_step(task_id, "slow", "waiting_for_retry")
    await deployment.answer(job, result="late")

    await deployment.until_ignored(task_id, "result.late")
    assert (await deployment.steps(task_id))["slow"]["state"] == "waiting_for_retry"


async def test_a_result_that_breaks_its_schema_is_a_failed_attempt_which_says_where(deployment: Deployment) -> None:
    schema = {"type": "object", "required": ["grams"], "properties": {"grams": {"type": "integer", "minimum": 1}}}
    await deployment.register({"name": "weigh", "result_schema": schema})
    task_id = await deployment.submit()
    await deployment.answer(await deployment.job("weigh"), result={"grams": 0})
    await deployment.answer(await deployment.job("weigh"), result={"grams": 3})

    assert (await deployment.ended(task_id))["status"] == "complete"
    assert (await deployment.attempts(task_id))[0] == ("weigh", 1, "failed", "result.schema")
    events = (await deployment.get(f"tasks/{task_id}/history"))["events"]
    (error,) = [event["data"]["error"] for event in events if event["type"] == "StepFailed"]
    assert [problem["pointer"] for problem in error["details"]["problems"]] == ["/result/grams"]


async def test_an_answer_that_a_worker_sent_after_a_retry_by_hand_belongs_to_its_own_attempt(
    deployment: Deployment,
) -> None:
    await deployment.register({"name": "step"})
    task_id = await deployment.submit()
    first = await deployment.job("step")
    await deployment.answer(first, "step.failed", error={"code": "no", "retryable": False})
    await deployment.ended(task_id)
    await deployment.act(f"tasks/{task_id}/steps/step/retry")
    second = await deployment.job("step")
    await deployment.answer(first, result="of the first")
    await deployment.until_ignored(task_id, "result.superseded")
    await deployment.answer(second, result="of the second")

    assert (await deployment.ended(task_id))["status"] == "complete"
    assert await deployment.result(task_id, "step") == "of the second"
