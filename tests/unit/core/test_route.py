"""Which letters each event sends: a function of the log alone, so that a relay can send them again."""

import json
from base64 import b64encode
from hashlib import blake2b
from typing import Any
from uuid import UUID

import pytest

from stepbus.contracts import envelope, messages
from stepbus.contracts import events as e
from stepbus.contracts.problems import Problem
from stepbus.orchestrator.core.evolve import fold
from stepbus.orchestrator.core.route import Letter, Origin, Place, letters_of, needs_state, route
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.testing.given import TASK_ID
from tests.unit.core.examples import (
    NOW,
    accepted,
    cancelled,
    completed,
    dispatched,
    failed,
    step,
    stories,
    task_failed,
    timed_out,
)

GIVEN = stories("a", step("b", skippable=True), step("c < a b", handler="shop.c", queue="fast", timeout="7s"))
ORIGIN = Origin("epoch1", b"secret of 32 bytes, or so it says", [f"stepbus.results.{number}" for number in range(8)])
META = e.Metadata(at_ms=NOW, tenant="acme", correlation_id="cart-7", causation_id="shop/1", actor="client/shop")
PLACE = Place(position=41, index=2, meta=META, stream=TASK_ID)
STARTED = (accepted(GIVEN, context={"cart": 7}), e.StepBypassed(step="b"), dispatched("a"))
C_IN_HAND = (*STARTED, completed("a", result={"ok": True}), dispatched("c"))


def state(*events: e.Event) -> TaskState:
    return fold(TaskState.blank(TASK_ID, GIVEN.plan), events)


def letters(event: e.Event, *history: e.Event, place: Place = PLACE, origin: Origin = ORIGIN) -> list[Letter]:
    return list(route(origin, place, event, state(*history) if needs_state(event) else None))


def data_of(letter: Letter) -> Any:
    return json.loads(letter.body)["data"]


def quarantined(**fields: Any) -> e.MessageQuarantined:
    problems = (Problem(code="json.malformed", message="expected JSON", pointer="/x"), Problem(code="b", message="c"))
    values = {"channel": "tasks", "body": b64encode(b"{").decode(), "headers": {}, "problems": problems}
    return e.MessageQuarantined(**{**values, **fields})


LIFE = [
    (accepted(GIVEN), messages.TaskAccepted, None, None),
    (e.TaskCompleted(), messages.TaskCompleted, "complete", ""),
    (task_failed("a"), messages.TaskFailed, "error", "task.blocked_by_failures"),
    (e.TaskCancelled(reason="late"), messages.TaskCancelled, "cancelled", "late"),
    (e.TaskReopened(), messages.TaskReopened, "in_progress", ""),
    (e.TaskResolvedManually(reason="by hand"), messages.TaskResolvedManually, "resolved_manually", "by hand"),
]
SILENT = [
    e.StepBypassed(step="a"),
    e.StepHeartbeatRecorded(step="a", attempt=1, deadline_at_ms=NOW),
    completed("a"),
    failed("a"),
    timed_out("a"),
    cancelled("a"),
    e.StepResolvedManually(step="a", attempt=1),
    e.StepReopened(step="a", max_attempts=4),
    e.TemplateRegistered(namespace="n", name="n", version="1.0.0", template_hash="", template={}),
    e.MessageResubmitted(),
    e.AnswerIgnored(task_id=TASK_ID, step="a", attempt=1, code="c", reason="r", answer_type="t"),
    e.WorkerAnnounced(worker="w-1", handlers=()),
]


def test_every_event_either_sends_letters_or_is_known_to_be_silent() -> None:
    spoken = {type(event) for event, *_ in LIFE} | {e.StepDispatched, e.MessageQuarantined}

    assert spoken | {type(event) for event in SILENT} == set(e.EVENTS)


@pytest.mark.parametrize("event", SILENT, ids=lambda event: event.TYPE)
def test_what_concerns_nobody_outside_sends_nothing(event: e.Event) -> None:
    assert letters(event, *STARTED) == []
    assert not needs_state(event)


@pytest.mark.parametrize(("event", "message", "status", "reason"), LIFE, ids=lambda value: getattr(value, "TYPE", ""))
def test_the_public_hears_of_each_turn_in_a_tasks_life(
    event: e.Event, message: type[messages.Message], status: str | None, reason: str | None
) -> None:
    (letter,) = letters(event, *STARTED)

    assert (letter.channel, letter.key, letter.replyto) == ("events", str(TASK_ID), None)
    told = message.model_validate(data_of(letter))
    assert told.model_dump(mode="json", exclude={"position"}) == {
        "task_id": str(TASK_ID),
        "namespace": "default",
        "name": "example",
        "version": "1.0.0",
        **({} if status is None else {"status": status, "reason": reason}),
    }


def test_an_acceptance_tells_its_position_and_answers_whoever_asked() -> None:
    public, answer = letters(accepted(GIVEN, replyto="_INBOX.me"))

    assert data_of(public)["position"] == 41
    assert (answer.channel, answer.replyto, answer.id, answer.body) == ("", "_INBOX.me", public.id, public.body)


def test_the_envelope_says_where_a_letter_comes_from() -> None:
    (letter,) = letters(e.TaskCompleted(), *STARTED)

    event = envelope.read(letter.body)
    assert (event.id, event.source, event.type) == ("epoch1:41.2", "/stepbus/epoch1", "task.completed")
    assert (event.tenant, event.correlationid, event.causationid) == ("acme", "cart-7", "shop/1")
    assert (event.partitionkey, event.dataschema) == (str(TASK_ID), messages.TaskCompleted.dataschema())
    assert event.time == envelope.timestamp(NOW)


def test_a_task_that_came_without_a_correlation_is_its_own() -> None:
    (letter,) = letters(e.TaskCompleted(), *STARTED, place=Place(1, 0, e.Metadata(at_ms=NOW), TASK_ID))

    event = envelope.read(letter.body)
    assert (event.correlationid, event.causationid) == (str(TASK_ID), str(TASK_ID))


def test_a_job_is_self_contained() -> None:
    (letter,) = letters(dispatched("c"), *C_IN_HAND)

    assert (letter.channel, letter.key, letter.id) == ("jobs.fast", str(TASK_ID), "epoch1:41.2")
    job = messages.StepRequested.model_validate(data_of(letter))
    assert (job.task_id, job.step, job.attempt, job.handler, job.timeout_ms) == (TASK_ID, "c", 1, "shop.c", 7_000)
    assert job.inputs.context == {"cart": 7}
    assert job.inputs.results == {"a": {"ok": True}, "b": None}
    assert job.idempotency_key == f"{TASK_ID}/c"
    assert job.replyto == ORIGIN.results_address(TASK_ID)
    assert job.token == ORIGIN.token(TASK_ID, "c", 1)


def test_a_job_is_the_same_bytes_when_it_is_sent_again_from_a_later_state() -> None:
    beat = e.StepHeartbeatRecorded(step="c", attempt=1, deadline_at_ms=NOW + 99)

    assert letters(dispatched("c"), *C_IN_HAND) == letters(dispatched("c"), *C_IN_HAND, beat)


def test_all_attempts_of_a_step_share_the_key_of_their_effects() -> None:
    (first,) = letters(dispatched("a"), *STARTED)
    (second,) = letters(dispatched("a", 2), *STARTED, failed("a", 1, NOW), dispatched("a", 2))

    assert data_of(first)["idempotency_key"] == data_of(second)["idempotency_key"]
    assert data_of(first)["token"] != data_of(second)["token"]


@pytest.mark.parametrize(
    "since",
    [
        pytest.param((failed("a", 1, NOW), dispatched("a", 2)), id="superseded"),
        pytest.param((failed("a", 1, NOW),), id="waiting for the next attempt"),
        pytest.param((completed("a"),), id="complete"),
        pytest.param((cancelled("a"), e.TaskCancelled()), id="cancelled"),
        pytest.param((e.StepResolvedManually(step="a", attempt=1),), id="resolved"),
        pytest.param((failed("a"), e.StepReopened(step="a", max_attempts=4)), id="reopened"),
    ],
)
def test_a_dispatch_that_is_over_by_now_sends_no_job(since: tuple[e.Event, ...]) -> None:
    assert letters(dispatched("a"), *STARTED, *since) == []


def test_a_token_is_bound_to_the_log_the_task_the_step_and_the_attempt() -> None:
    other_log = Origin("epoch1", b"another secret", ORIGIN.results)
    tokens = [
        ORIGIN.token(TASK_ID, "a", 1),
        ORIGIN.token(TASK_ID, "a", 2),
        ORIGIN.token(TASK_ID, "b", 1),
        ORIGIN.token(UUID(int=7), "a", 1),
        other_log.token(TASK_ID, "a", 1),
    ]

    assert tokens[0] == ORIGIN.token(TASK_ID, "a", 1)
    assert len(set(tokens)) == len(tokens)
    assert {len(token) for token in tokens} == {32}


def test_a_token_is_a_keyed_blake2b_of_the_attempt_it_is_for() -> None:
    keyed = blake2b(TASK_ID.bytes + b" 1 a", key=ORIGIN.secret, digest_size=16).hexdigest()

    assert ORIGIN.token(TASK_ID, "a", 1) == keyed


def test_the_answers_of_a_task_go_to_one_address_and_those_of_many_to_all() -> None:
    assert ORIGIN.results_address(TASK_ID) == ORIGIN.results_address(TASK_ID)
    assert {ORIGIN.results_address(UUID(int=number)) for number in range(200)} == set(ORIGIN.results)


def test_ids_are_derived_from_the_place_in_the_log() -> None:
    places = [Place(position, index, META, TASK_ID) for position, index in ((1, 11), (11, 1), (1, 1))]

    ids = [letters(e.TaskCompleted(), *STARTED, place=place)[0].id for place in places]

    assert ids == ["epoch1:1.11", "epoch1:11.1", "epoch1:1.1"]


def test_the_letters_of_a_record_are_those_of_its_events_each_by_its_place() -> None:
    record = e.Record(
        1, META, (completed("a", result={"ok": True}), dispatched("c"), e.TaskCancelled(), dispatched("a"))
    )
    after = state(*STARTED, *record.events[:2])

    together = letters_of(ORIGIN, 41, record, TASK_ID, after)

    assert together == [
        letter
        for index, event in enumerate(record.events)
        for letter in route(ORIGIN, Place(41, index, META, TASK_ID), event, after)
    ]
    assert [letter.id for letter in together] == ["epoch1:41.1", "epoch1:41.2"]


def test_letters_that_need_no_state_are_given_without_one() -> None:
    record = e.Record(1, META, (quarantined(request_id="shop/1"),))

    sent = letters_of(ORIGIN, 5, record, UUID(int=9), None)

    assert [letter.channel for letter in sent] == ["quarantine", "events"]


def test_a_quarantined_message_is_told_with_its_first_reason() -> None:
    entry = Place(5, 0, META, UUID(int=9))

    (letter,) = letters(quarantined(), place=entry)

    assert (letter.channel, letter.key) == ("quarantine", str(UUID(int=9)))
    assert messages.QuarantineEntry.model_validate(data_of(letter)) == messages.QuarantineEntry(
        message_id=UUID(int=9),
        channel="tasks",
        code="json.malformed",
        pointer="/x",
        reason="expected JSON",
        body="ew==",
    )


def test_a_large_quarantined_message_is_told_without_its_body() -> None:
    (fits,) = letters(quarantined(body="x" * 65_536))
    (too_large,) = letters(quarantined(body="x" * 65_537))

    assert (len(data_of(fits)["body"]), data_of(too_large)["body"]) == (65_536, "")


def test_a_refused_request_is_answered_with_every_reason() -> None:
    entry, public, answer = letters(quarantined(request_id="shop/1", replyto="_INBOX.me"))

    assert [entry.channel, public.channel, answer.replyto] == ["quarantine", "events", "_INBOX.me"]
    assert answer.body == public.body
    rejected = messages.TaskRejected.model_validate(data_of(public))
    assert rejected.request_id == "shop/1"
    assert [problem.code for problem in rejected.problems] == ["json.malformed", "b"]


def test_a_refused_request_without_an_address_is_told_to_the_public_alone() -> None:
    assert [letter.channel for letter in letters(quarantined(request_id="shop/1"))] == ["quarantine", "events"]


def test_letters_about_a_request_with_the_longest_names_can_be_read() -> None:
    asked = f"{'s' * 1_024}/{'i' * 1_024}"
    place = Place(1, 0, e.Metadata(at_ms=NOW, correlation_id="c" * 1_024, causation_id=asked), TASK_ID)

    sent = [
        *letters(dispatched("a"), *STARTED, place=place),
        *letters(quarantined(request_id=asked), place=place),
    ]

    assert [messages.read(envelope.read(letter.body)).TYPE for letter in sent] == [
        "step.requested",
        "message.quarantined",
        "task.rejected",
    ]
