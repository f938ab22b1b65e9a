"""The desk: what a person asks for is in the log when it is answered, or refused with all reasons."""

from uuid import UUID, uuid4

from stepbus.contracts import events as e
from stepbus.contracts.messages import StepError, TaskRequested
from stepbus.orchestrator.core.commands import FailStep
from stepbus.orchestrator.ports import Denied, Done, EventStore
from stepbus.orchestrator.runtime.intents import TaskIntent
from stepbus.orchestrator.runtime.serve import Serving
from tests.support.world import (
    CAUSE,
    cloud_event,
    completion,
    delivery,
    events_of,
    memory_bus,
    memory_store,
    now_ms,
    serving,
    types_of,
)

ORDER = TaskRequested(template="fork_and_join")


async def submitted(parts: Serving) -> UUID:
    done = await parts.desk.submit(ORDER, uuid4().hex, "client/me")
    assert isinstance(done, Done)
    return done.id


async def failed(parts: Serving) -> UUID:
    """Give a task in error: its first step failed for good."""
    task_id = await submitted(parts)
    error = StepError(code="no", retryable=False)
    await parts.coordinator.submit(TaskIntent(FailStep(task_id, "begin", 1, error, now_ms()), CAUSE))
    return task_id


def code(answer: Done | Denied) -> tuple[str, str]:
    assert isinstance(answer, Denied)
    return answer.problems[0].code, answer.kind


async def test_a_submitted_task_is_in_the_log_and_the_same_request_is_the_same_task() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        first = await parts.desk.submit(ORDER, "request-7", "client/me")
        again = await parts.desk.submit(ORDER, "request-7", "client/me")
        assert isinstance(first, Done)
        assert again == Done(first.id, 0, repeated=True)
        record = e.decode_record((await store.read_stream(first.id))[0].data)
        assert (record.meta.actor, record.meta.causation_id) == ("client/me", "request-7")


async def test_a_request_is_refused_with_its_reasons() -> None:
    async with serving(await memory_store(), await memory_bus(), coordinate=False) as parts:
        unknown = await parts.desk.submit(TaskRequested(template="nothing"), "r", "client/me")
        assert code(unknown) == ("template.unknown", "missing")
        version = await parts.desk.submit(TaskRequested(template="fork_and_join", version="7.0.0"), "r", "client/me")
        assert code(version) == ("template.unknown_version", "missing")
        bypass = TaskRequested(template="fork_and_join", bypass_steps=("begin", "nowhere"))
        refused = await parts.desk.submit(bypass, "r", "client/me")
        assert isinstance(refused, Denied)
        assert [problem.code for problem in refused.problems] == ["task.not_skippable", "task.unknown_step"]
        reply = await parts.desk.submit(TaskRequested(template="fork_and_join", replyto="jobs.x"), "r", "client/me")
        assert code(reply) == ("task.replyto", "invalid")


async def test_a_context_that_breaks_its_schema_is_refused_with_every_problem() -> None:
    async with serving(await memory_store(), await memory_bus(), coordinate=False) as parts:
        schema = {"type": "object", "required": ["id"], "properties": {"count": {"type": "integer"}}}
        template = {"name": "strict", "version": "1.0.0", "context_schema": schema, "steps": [{"name": "only"}]}
        assert isinstance(await parts.desk.register(template, "operator/me"), Done)
        refused = await parts.desk.submit(TaskRequested(template="strict", context={"count": "x"}), "r", "client/me")
        assert isinstance(refused, Denied)
        assert {problem.code for problem in refused.problems} == {"schema.required", "schema.type"}


async def test_a_template_is_refused_with_every_problem() -> None:
    async with serving(await memory_store(), await memory_bus(), coordinate=False) as parts:
        refused = await parts.desk.register({"name": "x", "steps": [{"name": "a", "depends_on": ["b"]}]}, "operator/me")
        assert isinstance(refused, Denied)
        codes = {problem.code for problem in refused.problems}
        assert {"template.missing_key", "template.unknown_dependency"} <= codes


async def test_cancel_and_its_repeat() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        task_id = await submitted(parts)
        assert isinstance(await parts.desk.cancel(task_id, "enough", "operator/me"), Done)
        assert await parts.desk.cancel(task_id, "enough", "operator/me") == Done(task_id, 0, repeated=True)
        assert code(await parts.desk.cancel(uuid4(), "", "operator/me")) == ("task.unknown", "missing")
        assert (await events_of(store, task_id))[-1] == e.TaskCancelled(reason="enough")


async def test_a_failed_task_moves_on_by_a_retry() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        task_id = await failed(parts)
        assert isinstance(await parts.desk.retry(task_id, "begin", "mended", "operator/me"), Done)
        assert (await types_of(store, task_id))[-3:] == ["TaskReopened", "StepReopened", "StepDispatched"]
        assert code(await parts.desk.retry(task_id, "begin", "", "operator/me")) == ("step.not_failed", "conflict")
        assert code(await parts.desk.retry(task_id, "nowhere", "", "operator/me")) == ("step.unknown", "missing")


async def test_a_failed_task_moves_on_by_a_resolution() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        task_id = await failed(parts)
        done = await parts.desk.resolve_step(task_id, "begin", {"by": "hand"}, "mended", "operator/me")
        assert isinstance(done, Done)
        assert (await types_of(store, task_id))[-4:] == [
            "TaskReopened",
            "StepResolvedManually",
            "StepDispatched",
            "StepDispatched",
        ]


async def test_a_task_is_resolved_as_a_whole() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        task_id = await failed(parts)
        assert isinstance(await parts.desk.resolve_task(task_id, "done by hand", "operator/me"), Done)
        assert (await types_of(store, task_id))[-1] == "TaskResolvedManually"
        assert code(await parts.desk.cancel(task_id, "", "operator/me")) == ("task.ended", "conflict")


async def test_the_live_state_is_the_fold_of_the_log() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        task_id = await submitted(parts)
        await parts.coordinator.submit(completion(task_id, "begin"))
        live = await parts.desk.live_state(task_id)
        assert await parts.desk.live_state(uuid4()) is None
    async with serving(store, await memory_bus(), coordinate=False) as again:
        assert await again.desk.live_state(task_id) == live
        assert live is not None
        assert (live.version, live.events) == (2, 5)


async def the_only_entry(store: EventStore) -> UUID:
    (stored,) = await store.read(0, 10, e.QUARANTINE)
    return stored.stream


async def test_a_quarantined_message_is_sent_through_again_once_its_cause_is_mended() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        body = cloud_event("task.requested", {"template": "late"})
        await parts.intake.apply(delivery("tasks", body))
        message_id = await the_only_entry(store)
        assert code(await parts.desk.resubmit(message_id, "operator/me")) == ("template.unknown", "conflict")
        template = {"name": "late", "version": "1.0.0", "steps": [{"name": "only"}]}
        await parts.desk.register(template, "operator/me")
        done = await parts.desk.resubmit(message_id, "operator/me")
        assert isinstance(done, Done)
        assert await types_of(store, done.id) == ["TaskAccepted", "StepDispatched"]
        assert await types_of(store, message_id) == ["MessageQuarantined", "MessageResubmitted"]


async def test_only_what_is_in_quarantine_can_be_sent_through_again() -> None:
    async with serving(await memory_store(), await memory_bus(), coordinate=False) as parts:
        task_id = await submitted(parts)
        for unknown in (uuid4(), task_id):
            assert code(await parts.desk.resubmit(unknown, "operator/me")) == ("quarantine.unknown", "missing")


async def test_health_names_every_part() -> None:
    async with serving(await memory_store(), await memory_bus()) as parts:
        health = await parts.desk.health()
        assert health["ready"]
        assert set(health["parts"]) == {"rounds", "passivation", "relay", "timers", "intake"}
