"""Intake: every message is decided, put into quarantine, or handed back; none vanishes, none loops."""

from base64 import b64decode
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from stepbus.contracts import events as e
from stepbus.contracts import messages
from stepbus.orchestrator.ports import EventStore, Outgoing, StoreUnavailable
from stepbus.orchestrator.runtime import intake as intake_module
from stepbus.orchestrator.runtime.serve import Serving
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.world import (
    Broken,
    answer,
    cloud_event,
    delivery,
    events_of,
    memory_bus,
    memory_store,
    request,
    serving,
    types_of,
)


async def quarantined(store: EventStore) -> list[e.MessageQuarantined]:
    """Give what is in quarantine, in order."""
    return [
        event
        for stored in await store.read(0, 1000, e.QUARANTINE)
        for event in e.decode_record(stored.data).events
        if isinstance(event, e.MessageQuarantined)
    ]


async def ignored(store: EventStore) -> list[str]:
    """Give the codes of the answers that were ignored."""
    return [
        event.code
        for stored in await store.read(0, 1000, e.IGNORED)
        for event in e.decode_record(stored.data).events
        if isinstance(event, e.AnswerIgnored)
    ]


async def begun(parts: Serving) -> messages.StepRequested:
    """Begin a task and give its first job."""
    intent = request()
    await parts.coordinator.submit(intent)
    return job_of(parts, intent.command.task_id, "begin", 1)


def job_of(parts: Serving, task_id: UUID, step: str, attempt: int) -> messages.StepRequested:
    """Give the job of an attempt, as far as an answer needs it."""
    return messages.StepRequested(
        task_id=task_id,
        step=step,
        attempt=attempt,
        handler="default.begin",
        inputs=messages.Inputs(context={}, results={}),
        timeout_ms=1,
        idempotency_key="k",
        replyto="r",
        token=parts.intake.origin.token(task_id, step, attempt),
    )


async def test_a_request_from_the_bus_makes_a_task_and_a_repeat_of_it_makes_none() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        body = cloud_event("task.requested", {"template": "fork_and_join"})
        first = await parts.intake.apply(delivery("tasks", body))
        second = await parts.intake.apply(delivery("tasks", body))
        assert first.position > 0
        assert (second.id, second.position) == (first.id, 0)
        assert (await events_of(store, first.id))[0].model_dump()["request_id"] == "/test/m-1"


@pytest.mark.parametrize("key", [{"task_id": str(uuid4())}, {"idempotency_key": "order-7"}])
async def test_a_key_of_the_client_makes_two_messages_one_task(key: dict[str, str]) -> None:
    async with serving(await memory_store(), await memory_bus(), coordinate=False) as parts:
        bodies = [cloud_event("task.requested", {"template": "fork_and_join"} | key, name) for name in ("m-1", "m-2")]
        first, second = [await parts.intake.apply(delivery("tasks", body)) for body in bodies]
        assert (second.id, second.position) == (first.id, 0)


async def test_answers_bring_a_task_to_its_end() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        job = await begun(parts)
        for step in ("begin", "left", "right", "end"):
            body = answer(job_of(parts, job.task_id, step, 1), result={"of": step})
            await parts.intake.apply(delivery("results.0", body))
        assert (await types_of(store, job.task_id))[-1] == "TaskCompleted"
        record = e.decode_record((await store.read_stream(job.task_id))[-1].data)
        assert record.meta.actor == "worker/w-1"


async def test_a_failure_and_a_heartbeat_are_heard() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        job = await begun(parts)
        await parts.intake.apply(delivery("results.0", answer(job, "step.heartbeat", progress=0.5)))
        error = {"code": "cart.empty", "retryable": False}
        await parts.intake.apply(delivery("results.0", answer(job, "step.failed", error=error)))
        assert (await types_of(store, job.task_id))[-3:] == ["StepHeartbeatRecorded", "StepFailed", "TaskFailed"]


async def test_a_duplicate_answer_changes_nothing_and_is_noted_once() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        job = await begun(parts)
        body = answer(job, result={"n": 1})
        for _ in range(3):
            await parts.intake.apply(delivery("results.0", body))
        assert await ignored(store) == ["result.duplicate"]
        assert (await types_of(store, job.task_id)).count("StepCompleted") == 1


async def test_two_different_results_of_one_attempt_are_told_apart() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        job = await begun(parts)
        await parts.intake.apply(delivery("results.0", answer(job, result={"n": 1})))
        await parts.intake.apply(delivery("results.0", answer(job, result={"n": 2})))
        assert await ignored(store) == ["result.conflicting"]


async def test_a_cancel_request_cancels() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        job = await begun(parts)
        body = cloud_event("task.cancel_requested", {"task_id": str(job.task_id), "reason": "no longer wanted"})
        await parts.intake.apply(delivery("tasks", body))
        assert (await types_of(store, job.task_id))[-1] == "TaskCancelled"


UNKNOWN = str(uuid4())
ANSWER = {"task_id": UNKNOWN, "step": "begin", "attempt": 1, "token": "forged"}


@pytest.mark.parametrize(
    ("channel", "body", "code", "pointer"),
    [
        ("tasks", b"", "json.malformed", ""),
        ("tasks", b"[1,2]", "envelope.not_an_object", ""),
        ("tasks", b'{"a":1,"a":2}', "json.duplicate_key", "/a"),
        ("tasks", b'{"a":NaN}', "json.nan", "/a"),
        ("tasks", b'{"a":9007199254740993}', "json.integer_range", "/a"),
        ("tasks", b'{"a":"\\u0000"}', "json.nul", "/a"),
        ("tasks", b"[" * 100 + b"]" * 100, "json.depth", None),
        ("tasks", b'"' + b"x" * 300_000 + b'"', "json.too_large", ""),
        ("tasks", b"\xff\xfe", "json.encoding", ""),
        ("tasks", cloud_event("task.wished", {}), "message.unknown_type", "/type"),
        (
            "tasks",
            cloud_event("task.requested", {}, dataschema="https://stepbus.dev/schemas/task.requested/99"),
            "message.unknown_version",
            "/dataschema",
        ),
        ("tasks", cloud_event("task.requested", {"template": "no_such"}), "template.unknown", "/data/template"),
        (
            "tasks",
            cloud_event("task.requested", {"template": "fork_and_join", "version": "9.9.9"}),
            "template.unknown_version",
            "/data/version",
        ),
        (
            "tasks",
            cloud_event("task.requested", {"template": "fork_and_join", "bypass_steps": ["begin"]}),
            "task.not_skippable",
            "/data/bypass_steps/0",
        ),
        (
            "tasks",
            cloud_event("task.requested", {"template": "fork_and_join", "replyto": "jobs.default.begin"}),
            "task.replyto",
            "/data/replyto",
        ),
        ("tasks", cloud_event("task.cancel_requested", {"task_id": UNKNOWN}), "task.unknown", None),
        ("tasks", cloud_event("step.completed", ANSWER), "message.wrong_channel", "/type"),
        ("results.0", cloud_event("task.requested", {"template": "fork_and_join"}), "message.wrong_channel", "/type"),
        ("results.0", cloud_event("step.completed", ANSWER), "result.token", "/data/token"),
    ],
)
async def test_what_cannot_be_applied_is_in_quarantine_whole_with_code_and_pointer(
    channel: str, body: bytes, code: str, pointer: str | None
) -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        for _ in range(2):  # the same again is the same entry
            await parts.intake.apply(delivery(channel, body))
        (entry,) = await quarantined(store)
        first = entry.problems[0]
        assert (first.code, first.pointer) == (code, first.pointer if pointer is None else pointer)
        assert b64decode(entry.body) == body
        assert entry.channel == channel


async def test_a_result_of_a_task_or_step_or_attempt_that_is_not_there_is_in_quarantine() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        job = await begun(parts)
        for other in (
            job_of(parts, uuid4(), "begin", 1),
            job_of(parts, job.task_id, "nowhere", 1),
            job_of(parts, job.task_id, "begin", 7),
        ):
            await parts.intake.apply(delivery("results.0", answer(other)))
        codes = [entry.problems[0].code for entry in await quarantined(store)]
        assert codes == ["task.unknown", "result.unknown_step", "result.unknown_attempt"]


async def test_a_failure_of_ours_keeps_the_message_and_does_not_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_event: Any) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(messages, "read", read)
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        await parts.intake.apply(delivery("tasks", cloud_event("task.requested", {"template": "fork_and_join"})))
        (entry,) = await quarantined(store)
        assert entry.problems[0].code == "internal.error"


async def test_a_failure_of_ours_while_a_template_is_looked_for_does_not_loop_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def requested(*_: Any) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(intake_module, "requested", requested)
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        await parts.intake.apply(delivery("tasks", cloud_event("task.requested", {"template": "fork_and_join"})))
        (entry,) = await quarantined(store)
        assert entry.problems[0].code == "internal.error"


async def test_binary_mode_is_read_too() -> None:
    async with serving(await memory_store(), await memory_bus(), coordinate=False) as parts:
        headers = {
            "ce-specversion": "1.0",
            "ce-id": "m-1",
            "ce-source": "/test",
            "ce-type": "task.requested",
            "content-type": "application/json",
        }
        outcome = await parts.intake.apply(delivery("tasks", orjson.dumps({"template": "fork_and_join"}), headers))
        assert outcome.position > 0


async def test_a_message_from_the_bus_is_acked_once_it_is_in_the_log() -> None:
    store, bus, client = await memory_store(), await memory_bus("acked"), await memory_bus("acked")
    async with serving(store, bus):
        body = cloud_event("task.requested", {"template": "fork_and_join"})
        await client.publish([Outgoing("tasks", "m-1", body)])

        async def is_there() -> bool:
            return len(await store.read(0, 10, e.TASK)) == 1

        await wait_until(is_there)
    left = await client.subscribe("tasks")
    assert list(await left.receive(10, 0.05)) == []


async def test_while_the_store_is_away_messages_go_back_and_are_applied_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "_HAND_BACK_S", 0.01)
    store, bus, client = Broken(await memory_store()), await memory_bus("away"), await memory_bus("away")
    async with serving(store, bus):
        store.failures = [StoreUnavailable("away")] * 3
        body = cloud_event("task.requested", {"template": "fork_and_join"})
        await client.publish([Outgoing("tasks", "m-1", body)])

        async def is_there() -> bool:
            return len(await store.read(0, 10, e.TASK)) == 1

        await wait_until(is_there)
    assert store.failures == []


async def test_a_refused_request_tells_its_client_why() -> None:
    store, bus, client = await memory_store(), await memory_bus("told"), await memory_bus("told")
    async with serving(store, bus):
        told = await client.listen("events", from_start=True)
        body = cloud_event("task.requested", {"template": "no_such"}, "m-9")
        await client.publish([Outgoing("tasks", "m-9", body)])
        heard: list[Any] = []

        async def is_told() -> bool:
            heard.extend(orjson.loads(d.body) for d in await told.receive(10, 0.05))
            return bool(heard)

        await wait_until(is_told)
    assert (heard[0]["type"], heard[0]["data"]["request_id"]) == ("task.rejected", "/test/m-9")
    assert heard[0]["data"]["problems"][0]["code"] == "template.unknown"


async def test_what_a_worker_found_to_be_no_job_is_kept_with_its_reason_and_once() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        entry = {
            "message_id": str(uuid4()),
            "channel": "jobs.orders",
            "code": "json.malformed",
            "pointer": "/data",
            "reason": "expected JSON",
            "body": "ew==",
        }
        for name in ("m-1", "m-2"):
            await parts.intake.apply(delivery("results.0", cloud_event("message.quarantined", entry, name)))

    (kept,) = await quarantined(store)
    assert (kept.channel, b64decode(kept.body)) == ("jobs.orders", b"{")
    assert (kept.problems[0].code, kept.problems[0].message) == ("json.malformed", "expected JSON")


@pytest.mark.parametrize("unfit", [{"body": "not base64!"}, {"code": "Not a code"}])
async def test_what_a_worker_hands_over_in_a_form_of_its_own_is_kept_as_it_came(unfit: dict[str, str]) -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), coordinate=False) as parts:
        entry = {"message_id": str(uuid4()), "channel": "jobs.q", "code": "c", "pointer": "", "reason": "", "body": ""}
        body = cloud_event("message.quarantined", entry | unfit)
        await parts.intake.apply(delivery("results.0", body))

    (kept,) = await quarantined(store)
    assert (kept.channel, kept.problems[0].code) == ("results.0", "message.invalid")
    assert b64decode(kept.body) == body
