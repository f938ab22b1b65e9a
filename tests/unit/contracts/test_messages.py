"""What an event's `data` must be for its type."""

from typing import Any

import pytest

from stepbus.contracts import codec, envelope, messages
from stepbus.contracts.envelope import CloudEvent
from stepbus.contracts.messages import StepCompleted, StepFailed, StepRequested, TaskRequested
from stepbus.contracts.problems import Refused

TASK = "0192f0c1-7a3b-7c4d-8e5f-0123456789ab"
ANSWER = {"task_id": TASK, "step": "a", "attempt": 1, "token": "t"}


def event(type_: str, data: Any, dataschema: str | None = None) -> CloudEvent:
    return CloudEvent(id="1", source="/s", type=type_, data=data, dataschema=dataschema)


def problems(read: CloudEvent) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as refused:
        messages.read(read)
    return [(problem.code, problem.pointer) for problem in refused.value.problems]


def test_the_type_of_an_event_says_what_its_data_is() -> None:
    assert messages.read(event("step.completed", ANSWER)) == StepCompleted.model_validate(ANSWER)
    assert messages.read(event("task.requested", {"template": "a"})) == TaskRequested(template="a")


def test_a_type_that_nobody_knows_is_refused() -> None:
    assert problems(event("step.finished", ANSWER)) == [("message.unknown_type", "/type")]


def test_the_schema_of_an_event_may_be_named_and_is_then_the_one_of_this_release() -> None:
    named = event("step.completed", ANSWER, StepCompleted.dataschema())
    assert messages.read(named) == StepCompleted.model_validate(ANSWER)
    newer = StepCompleted.dataschema().replace("/1", "/2")
    assert problems(event("step.completed", ANSWER, newer)) == [("message.unknown_version", "/dataschema")]


def test_what_a_newer_worker_adds_is_passed_over() -> None:
    assert messages.read(event("step.completed", ANSWER | {"new": 1})) == StepCompleted.model_validate(ANSWER)
    failed = messages.read(event("step.failed", ANSWER | {"error": {"code": "x", "new": 1}}))
    assert isinstance(failed, StepFailed)
    assert failed.error.retryable


def test_what_a_client_misspells_is_refused() -> None:
    assert problems(event("task.requested", {"template": "a", "contxt": {}})) == [
        ("message.unknown_key", "/data/contxt")
    ]


def test_all_that_is_wrong_is_told_at_once_with_places_below_data() -> None:
    data = {"task_id": "x", "step": "a b", "attempt": 0, "error": {"code": "", "retry_after": -1}}

    assert problems(event("step.failed", data)) == [
        ("message.invalid", "/data/task_id"),
        ("message.invalid", "/data/step"),
        ("message.invalid", "/data/attempt"),
        ("message.missing", "/data/token"),
        ("message.invalid", "/data/error/code"),
        ("message.invalid", "/data/error/retry_after"),
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [("attempt", "1"), ("attempt", 1.0), ("attempt", True), ("step", 1), ("task_id", 1), ("token", None)],
)
def test_a_value_of_another_kind_is_not_taken_for_what_it_resembles(key: str, value: object) -> None:
    assert problems(event("step.completed", ANSWER | {key: value})) == [("message.invalid", f"/data/{key}")]


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_data_that_is_no_object_is_no_message(data: object) -> None:
    assert problems(event("step.completed", data)) == [("message.invalid", "/data")]


def test_the_deepest_result_that_is_taken_can_be_carried_to_the_next_step() -> None:
    def answer(result: object) -> CloudEvent:
        return envelope.read(envelope.write(event("step.completed", ANSWER | {"result": result})))

    result: object = 1
    for _ in range(codec.MAX_DEPTH - 2):
        result = [result]
    completed = messages.read(answer(result))
    assert isinstance(completed, StepCompleted)
    with pytest.raises(Refused, match=r"json\.depth"):
        answer([result])

    job = {"handler": "h", "timeout_ms": 1, "idempotency_key": "k", "replyto": "r"} | ANSWER
    carried = event("step.requested", job | {"inputs": {"context": {}, "results": {"a": completed.result}}})
    read = messages.read(envelope.read(envelope.write(carried), depth=codec.MAX_CARRIED_DEPTH))
    assert isinstance(read, StepRequested)
    assert read.inputs.results == {"a": result}


def test_each_message_has_a_type_of_its_own() -> None:
    assert len({message.TYPE for message in messages.MESSAGES}) == len(messages.MESSAGES)


def test_a_worker_announces_a_handler_once_for_each_contract() -> None:
    served = [{"handler": "orders.check", "contract": number} for number in (1, 2, 1)]

    assert problems(event("worker.announced", {"worker": "w", "handlers": served})) == [
        ("message.handler_twice", "/data")
    ]
    assert isinstance(
        messages.read(event("worker.announced", {"worker": "w", "handlers": served[:2]})), messages.WorkerAnnounced
    )
