"""Every invariant of the log is seen to be violated when it is, and a log of real decisions violates none."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from stepbus.contracts import events as e
from stepbus.contracts.messages import StepError
from stepbus.contracts.problems import Problem
from stepbus.orchestrator.ports import Append, EventStore, StoredRecord
from stepbus.orchestrator.runtime.verify import Invariant, Report, Violation, auditor, verify
from stepbus.orchestrator.runtime.verify.judge import Judge, Outline
from tests.support.logs import Altered, accepted, coordinator, live_through, orders, registered, task, write
from tests.support.world import memory_store

ORDERS = orders()
OTHER = orders("2.0.0")
CATALOGUE = (registered(ORDERS), registered(OTHER))
ONE = task(1)


def dispatched(step: str, attempt: int = 1) -> e.StepDispatched:
    return e.StepDispatched(step=step, attempt=attempt, deadline_at_ms=0)


def completed(step: str, attempt: int = 1) -> e.StepCompleted:
    return e.StepCompleted(step=step, attempt=attempt)


def failed(step: str, attempt: int = 1, retry_at_ms: int | None = None) -> e.StepFailed:
    return e.StepFailed(step=step, attempt=attempt, error=StepError(code="broken"), retry_at_ms=retry_at_ms)


def resolved(step: str, attempt: int = 1) -> e.StepResolvedManually:
    return e.StepResolvedManually(step=step, attempt=attempt)


def cancelled(step: str, attempt: int) -> e.StepCancelled:
    return e.StepCancelled(step=step, attempt=attempt)


def beaten(step: str, attempt: int = 1) -> e.StepHeartbeatRecorded:
    return e.StepHeartbeatRecorded(step=step, attempt=attempt, deadline_at_ms=0)


def timed_out(step: str, attempt: int = 1) -> e.StepTimedOut:
    return e.StepTimedOut(step=step, attempt=attempt, retry_at_ms=0)


TASK_FAILED = e.TaskFailed(code="task.blocked_by_failures", failed_steps=())
START = (dispatched("a"), dispatched("x"))
FORK = (*START, completed("a"), dispatched("b"), dispatched("c"))
DONE = (*FORK, completed("b"), completed("c"), dispatched("d"), completed("d"), completed("x"), e.TaskCompleted())
STUCK = (*START, completed("x"), failed("a"), TASK_FAILED)
SECOND = (dispatched("x"), dispatched("a"), failed("a", 1, 5), dispatched("a", 2))


async def log(*events: e.Event) -> EventStore:
    """A log with templates, and one task that was accepted and went on so, a record an event."""
    store = await memory_store()
    await write(store, e.CATALOGUE_STREAM, e.CATALOGUE, CATALOGUE)
    await write(store, ONE, e.TASK, [accepted(ORDERS), *events[:2]], *([event] for event in events[2:]))
    return store


def found(report: Report) -> list[Invariant]:
    return [violation.invariant for violation in report.violations]


@pytest.mark.parametrize(
    ("events", "open_tasks"),
    [
        pytest.param(DONE, 0, id="complete"),
        pytest.param(FORK, 1, id="going on"),
        pytest.param(STUCK, 1, id="failed"),
        pytest.param(
            (*STUCK, e.TaskReopened(), e.StepReopened(step="a", max_attempts=5), dispatched("a", 2)), 1, id="retried"
        ),
        pytest.param((*STUCK, e.TaskReopened(), resolved("a"), dispatched("b"), dispatched("c")), 1, id="resolved"),
        pytest.param((*START, resolved("d", 0), completed("a")), 1, id="a step resolved ahead of its turn"),
        pytest.param((*SECOND, beaten("a", 2), timed_out("a", 2)), 1, id="attempts that end badly"),
        pytest.param((e.StepBypassed(step="x"), dispatched("a")), 1, id="a step left out"),
        pytest.param(
            (*FORK, *(cancelled(step, 1) for step in "bc"), cancelled("d", 0), cancelled("x", 1), e.TaskCancelled()),
            0,
            id="cancelled",
        ),
        pytest.param((*START, cancelled("a", 1), cancelled("x", 1), TASK_FAILED), 1, id="out of time"),
        pytest.param(
            (*STUCK, e.TaskReopened(), *(cancelled(step, 0) for step in "bcd"), e.TaskResolvedManually()),
            0,
            id="declared done",
        ),
    ],
)
async def test_a_sound_history_violates_nothing(events: tuple[e.Event, ...], open_tasks: int) -> None:
    report = await verify(await log(*events))

    assert report == Report(
        tasks=1, open_tasks=open_tasks, records=len(events), events=len(events) + 3, found=0, violations=()
    )


END, ATTEMPTS, ONCE = Invariant.ONE_END, Invariant.ATTEMPTS_IN_ORDER, Invariant.ONE_COMPLETION
NEEDS, ACCEPTANCE, TEMPLATE = Invariant.DEPENDENCIES_FIRST, Invariant.ONE_ACCEPTANCE, Invariant.TEMPLATE


@pytest.mark.parametrize(
    ("events", "invariant", "said"),
    [
        pytest.param((*DONE, e.TaskCompleted()), END, "expected nothing after the end of the task", id="ended twice"),
        pytest.param((*DONE, e.TaskReopened()), END, "found TaskReopened", id="reopened after its end"),
        pytest.param((*START, e.TaskReopened()), END, "but the task goes on", id="reopened without a failure"),
        pytest.param(
            (*STUCK, resolved("a")), END, "expected TaskReopened after TaskFailed", id="goes on after a failure"
        ),
        pytest.param(
            (*FORK, e.TaskCompleted()), END, "but 'b' is in hand, beside 'c', 'd', 'x'", id="complete too early"
        ),
        pytest.param((*FORK, failed("b"), TASK_FAILED), END, "but 'c' is in hand, beside 'x'", id="failed too early"),
        pytest.param(
            (*FORK, completed("x"), failed("b"), failed("c", 1, 5), TASK_FAILED),
            END,
            "but 'c' is delayed",
            id="failed before a retry",
        ),
        pytest.param(
            (*START, resolved("a"), resolved("x"), TASK_FAILED), END, "to have failed", id="failed without a failure"
        ),
        pytest.param((*START, e.TaskCancelled()), END, "but 'a' is in hand", id="cancelled with steps in hand"),
        pytest.param((*FORK, completed("a")), ONCE, "StepCompleted of 'a', which is done", id="completed twice"),
        pytest.param(
            (*SECOND, completed("a", 1)), ONCE, "which is in hand, found 1", id="an earlier attempt completes"
        ),
        pytest.param((*START, completed("b")), ONCE, "'b', which is waiting", id="completed before it was dispatched"),
        pytest.param(
            (*START, resolved("a"), completed("a")), ONCE, "which is done", id="completed after it was resolved"
        ),
        pytest.param((*FORK, resolved("a")), ONCE, "which is done", id="resolved after it completed"),
        pytest.param(
            (*START, resolved("d", 0), e.StepBypassed(step="d")),
            ONCE,
            "which is done",
            id="left out after it completed",
        ),
        pytest.param((*START, dispatched("b")), NEEDS, "expected 'b' to wait for 'a'", id="a dependency is missing"),
        pytest.param((*FORK, completed("b"), dispatched("d")), NEEDS, "expected 'd' to wait for 'c'", id="half a join"),
        pytest.param((*START, failed("a"), dispatched("c")), NEEDS, "to wait for 'a'", id="a dependency failed"),
        pytest.param(
            (dispatched("x"), dispatched("a", 2)), ATTEMPTS, "expected attempt 1 of 'a', found 2", id="begins with 2"
        ),
        pytest.param(
            (*START, failed("a", 1, 5), dispatched("a", 1)), ATTEMPTS, "expected attempt 2", id="an attempt twice"
        ),
        pytest.param(
            (*START, failed("a", 1, 5), dispatched("a", 3)), ATTEMPTS, "expected attempt 2", id="an attempt left out"
        ),
        pytest.param(
            (*SECOND, failed("a", 2, 5), dispatched("a", 3)),
            ATTEMPTS,
            "expected at most 2 attempts of 'a'",
            id="too many",
        ),
        pytest.param((*START, dispatched("a", 2)), ATTEMPTS, "'a', which is in hand", id="two attempts at a time"),
        pytest.param((*FORK, dispatched("a", 2)), ATTEMPTS, "'a', which is done", id="dispatched when it is done"),
        pytest.param(
            (*START, failed("a"), dispatched("a", 2)), ATTEMPTS, "'a', which is failed", id="dispatched when it failed"
        ),
        pytest.param((*FORK, failed("a")), ATTEMPTS, "'a', which is done", id="fails after it completed"),
        pytest.param((*SECOND, failed("a", 1)), ATTEMPTS, "which is in hand, found 1", id="an earlier attempt fails"),
        pytest.param((*FORK, timed_out("a")), ATTEMPTS, "'a', which is done", id="times out after it completed"),
        pytest.param((*FORK, beaten("a")), ATTEMPTS, "'a', which is done", id="beats after it completed"),
        pytest.param((*SECOND, beaten("a", 1)), ATTEMPTS, "which is in hand, found 1", id="an earlier attempt beats"),
        pytest.param((*FORK, cancelled("a", 1)), ATTEMPTS, "'a', which is done", id="cancelled after it completed"),
        pytest.param(
            (*SECOND, cancelled("a", 1)), ATTEMPTS, "to name attempt 2, found 1", id="another attempt cancelled"
        ),
        pytest.param(
            (*SECOND, resolved("a", 1)), ATTEMPTS, "to name attempt 2, found 1", id="another attempt resolved"
        ),
        pytest.param(
            (*START, e.StepBypassed(step="x")), ATTEMPTS, "which was dispatched", id="left out when dispatched"
        ),
        pytest.param(
            (*START, e.StepReopened(step="a", max_attempts=5)),
            ATTEMPTS,
            "reopening of 'a', which is in hand",
            id="reopened in hand",
        ),
        pytest.param(
            (*START, failed("a"), e.StepReopened(step="a", max_attempts=101)),
            ATTEMPTS,
            "at most 100",
            id="allowed too many",
        ),
        pytest.param((*START, accepted(ORDERS)), ACCEPTANCE, "found another", id="accepted twice"),
        pytest.param(
            (*START, e.MessageResubmitted()), ACCEPTANCE, "found MessageResubmitted", id="another kind of event"
        ),
        pytest.param(
            (*START, completed("gone")), TEMPLATE, "found StepCompleted of 'gone'", id="a step of no template"
        ),
    ],
)
async def test_what_must_not_happen_to_a_task_is_found(
    events: tuple[e.Event, ...], invariant: Invariant, said: str
) -> None:
    store = await log(*events)

    report = await verify(store)

    assert found(report) == [invariant], report.violations
    (violation,) = report.violations
    assert said in violation.message
    assert (violation.stream, violation.position) == (ONE, await store.head())


async def test_many_steps_that_are_left_are_not_all_named() -> None:
    report = await verify(await log(*FORK, failed("x"), e.TaskCancelled()))
    assert report.violations[0].message.endswith("but 'b' is in hand, beside 'c', 'd'")

    outline = Outline(orders(steps=[{"name": f"s{number}"} for number in range(9)]))
    assert Judge(outline).named(list(range(9))) == "'s0', 's1', 's2', 's3', 's4' and 4 more"


async def test_an_event_after_the_end_in_the_very_same_record_is_found() -> None:
    store = await log(*START)
    await write(
        store,
        ONE,
        e.TASK,
        [
            cancelled("a", 1),
            cancelled("x", 1),
            cancelled("b", 0),
            cancelled("c", 0),
            cancelled("d", 0),
            e.TaskCancelled(),
            dispatched("a", 2),
        ],
    )

    report = await verify(store)

    assert found(report) == [Invariant.ONE_END]
    assert "expected nothing after TaskCancelled, found StepDispatched" in report.violations[0].message


async def test_a_stream_of_a_task_begins_with_its_acceptance() -> None:
    store = await memory_store()
    await write(store, ONE, e.TASK, [dispatched("a")], [completed("a")])

    report = await verify(store)

    assert found(report) == [Invariant.ONE_ACCEPTANCE]
    assert "to begin with TaskAccepted, found StepDispatched" in report.violations[0].message
    assert (report.tasks, report.open_tasks) == (1, 1)


async def test_a_request_that_made_two_tasks_is_found() -> None:
    store = await log(*START)
    await write(store, task(2), e.TASK, [accepted(ORDERS, "request-2"), *START])
    await write(store, task(3), e.TASK, [accepted(ORDERS, "request-1"), *START])

    (violation,) = (await verify(store)).violations

    assert (violation.invariant, violation.stream) == (Invariant.ONE_TASK_A_REQUEST, task(3))
    assert "'request-1' to have made one task, but it made 00000000-" in violation.message


async def catalogue_and_task(*catalogue: e.Event, about: e.TaskAccepted | None = None) -> Report:
    store = await memory_store()
    await write(store, e.CATALOGUE_STREAM, e.CATALOGUE, *([event] for event in catalogue))
    await write(store, ONE, e.TASK, [about or accepted(ORDERS), *START], [completed("b")])
    return await verify(store)


async def test_a_template_that_is_not_what_its_hash_says_is_found() -> None:
    forged = registered(ORDERS, template=orders(description="forged").canonical())

    report = await catalogue_and_task(forged)

    assert found(report) == [TEMPLATE, ONCE]
    assert f"to have the hash {ORDERS.hash}, found" in report.violations[0].message


async def test_a_task_of_a_template_that_was_not_registered_is_found() -> None:
    report = await catalogue_and_task(registered(OTHER))

    assert found(report) == [TEMPLATE]
    assert f"expected a template of hash {ORDERS.hash} to be registered before the task" in report.violations[0].message


async def test_a_template_registered_after_its_task_is_too_late() -> None:
    store = await memory_store()
    await write(store, ONE, e.TASK, [accepted(ORDERS), *START])
    await write(store, e.CATALOGUE_STREAM, e.CATALOGUE, CATALOGUE)

    assert found(await verify(store)) == [TEMPLATE]


async def test_a_task_under_another_name_than_its_template_is_found() -> None:
    report = await catalogue_and_task(*CATALOGUE, about=accepted(ORDERS, version="2.0.0"))

    assert found(report) == [TEMPLATE, ONCE]
    assert "to be default/orders 1.0.0, found default/orders 2.0.0" in report.violations[0].message


@pytest.mark.parametrize(
    ("event", "said"),
    [
        pytest.param(registered(orders(description="new")), "to stay", id="a version replaced"),
        pytest.param(
            registered(OTHER, name="returns"), "under its name, found default/orders 2.0.0", id="another name"
        ),
        pytest.param(e.MessageResubmitted(), "expected a template in the catalogue", id="another kind of event"),
    ],
)
async def test_what_must_not_happen_to_the_catalogue_is_found(event: e.Event, said: str) -> None:
    store = await memory_store()
    await write(store, e.CATALOGUE_STREAM, e.CATALOGUE, [registered(ORDERS)], [event])

    (violation,) = (await verify(store)).violations

    assert (violation.invariant, violation.stream, violation.position) == (TEMPLATE, e.CATALOGUE_STREAM, 2)
    assert said in violation.message


@pytest.mark.parametrize(
    "template",
    [
        pytest.param({"steps": "none"}, id="no template"),
        pytest.param(
            {**ORDERS.canonical(), "steps": [{**ORDERS.canonical()["steps"][0], "depends_on": ["gone"]}]},
            id="no such step",
        ),
    ],
)
async def test_a_template_that_cannot_be_run_is_found_and_its_tasks_are_left(template: dict[str, Any]) -> None:
    report = await catalogue_and_task(registered(ORDERS, template=template))

    assert found(report) == [TEMPLATE]
    assert "expected default/orders 1.0.0 to be a template, but" in report.violations[0].message
    assert (report.tasks, report.open_tasks) == (1, 1)


@pytest.mark.parametrize(
    "data", [b"", b"not JSON", b"[]", b'{"first":1,"meta":{"at_ms":1},"events":[{"type":"Later"}]}']
)
async def test_a_record_that_cannot_be_read_is_a_violation_and_no_crash(data: bytes) -> None:
    store = await log(*START)
    await write(store, task(2), e.TASK, [accepted(ORDERS, "request-2"), *START])
    await store.append([Append(ONE, 1, e.TASK, data), Append(task(3), 0, e.TASK, data)])
    await store.append([Append(e.CATALOGUE_STREAM, 1, e.CATALOGUE, data)])
    whole = e.encode_record(e.Record(7, e.Metadata(at_ms=0), (dispatched("d"),)))
    await store.append([Append(ONE, 2, e.TASK, whole)])

    report = await verify(store)

    assert found(report) == [Invariant.READABLE] * 3
    assert [violation.stream for violation in report.violations] == [ONE, task(3), e.CATALOGUE_STREAM]
    assert (report.tasks, report.open_tasks, report.records) == (3, 3, 7)


async def test_a_record_of_nothing_is_found() -> None:
    store = await log(*START)
    late, early = (e.encode_record(e.Record(first, e.Metadata(at_ms=0), ())) for first in (4, 1))
    await store.append([Append(ONE, 1, e.TASK, late), Append(task(2), 0, e.TASK, early)])
    await write(store, ONE, e.TASK, [completed("a")])

    report = await verify(store)

    assert found(report) == [Invariant.READABLE, Invariant.READABLE]


async def test_a_record_that_was_lost_is_found() -> None:
    store = await log(*FORK)

    report = await verify(
        Altered(store, lambda record: None if record.version == 2 and record.stream == ONE else record)
    )

    messages = [violation.message for violation in report.violations if violation.invariant == Invariant.DENSE]
    assert messages == [
        "expected version 2 of the stream, found 3",
        "expected the record to begin with event 4 of the stream, found 5",
    ]


async def test_a_record_that_stands_there_twice_is_found() -> None:
    store = await log(*FORK)

    def renumbered(record: StoredRecord) -> StoredRecord:
        return record._replace(version=2) if record.version == 3 and record.stream == ONE else record

    messages = [violation.message for violation in (await verify(Altered(store, renumbered))).violations]

    assert messages[0] == "expected version 3 of the stream, found 2"


@pytest.mark.parametrize("position", [2, 1])
async def test_positions_that_do_not_rise_are_found(position: int) -> None:
    store = await log(*FORK)

    def moved(record: StoredRecord) -> StoredRecord:
        return record._replace(position=position) if record.position == 3 else record

    (violation,) = (await verify(Altered(store, moved))).violations

    assert (violation.invariant, violation.position) == (Invariant.DENSE, position)
    assert violation.message == f"expected a position above 2, found {position}"


async def test_events_that_are_numbered_wrongly_are_found_in_every_stream() -> None:
    store = await memory_store()
    problem = Problem(code="json.malformed", message="expected JSON")
    entry = e.MessageQuarantined(channel="tasks", body="", headers={}, problems=(problem,))
    wrong = e.encode_record(e.Record(2, e.Metadata(at_ms=0), (entry,)))
    await store.append([Append(task(9), 0, e.QUARANTINE, wrong)])
    await write(store, task(8), e.QUARANTINE, [entry], [e.MessageResubmitted()])

    (violation,) = (await verify(store)).violations

    assert (violation.invariant, violation.stream) == (Invariant.DENSE, task(9))


async def test_a_log_that_gives_no_end_of_records_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    store = await log(*FORK)
    monkeypatch.setattr(auditor, "_BATCH", 2)

    report = await verify(Altered(store, lambda record: record._replace(position=min(record.position, 2))))

    assert report.records == 4
    assert set(found(report)) == {Invariant.DENSE}
    assert (await verify(Altered(store, lambda _: None))).records == 0


async def test_a_log_is_read_in_batches_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditor, "_BATCH", 2)

    report = await verify(await log(*DONE))

    assert (report.records, report.found) == (len(DONE), 0)


async def test_a_report_shows_the_first_violations_and_counts_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditor, "KEPT", 2)

    report = await verify(await log(*FORK, completed("a"), completed("a"), completed("a")))

    assert (report.found, len(report.violations)) == (3, 2)


async def test_an_empty_log_violates_nothing() -> None:
    assert await verify(await memory_store()) == Report(0, 0, 0, 0, 0, ())


async def test_a_log_of_real_decisions_violates_nothing() -> None:
    store, templates = await memory_store(), [ORDERS, OTHER]

    async with coordinator(store, templates) as running:
        states = [await live_through(running, templates[seed % 2], seed, 10 + seed) for seed in range(40)]

    report = await verify(store)
    assert report.violations == ()
    assert (report.tasks, report.records) == (40, sum(state.version for state in states) + 2)
    assert report.events == sum(state.events for state in states) + 2
    ended = {"complete", "cancelled", "resolved_manually"}
    assert report.open_tasks == sum(state.status.value not in ended for state in states)
    assert {state.status.value for state in states} >= {"complete", "error", "cancelled", "resolved_manually"}


@pytest.mark.parametrize(
    "lose",
    [
        pytest.param(lambda event: isinstance(event, e.StepCompleted), id="completions"),
        pytest.param(lambda event: isinstance(event, e.StepDispatched), id="dispatches"),
        pytest.param(lambda event: isinstance(event, e.TaskReopened), id="reopenings"),
        pytest.param(lambda event: isinstance(event, e.StepReopened), id="reopened steps"),
        pytest.param(lambda event: isinstance(event, e.StepCancelled), id="cancellations"),
        pytest.param(lambda event: isinstance(event, e.StepFailed | e.StepTimedOut), id="failures"),
        pytest.param(lambda event: isinstance(event, e.StepResolvedManually), id="resolutions"),
        pytest.param(lambda event: isinstance(event, e.TaskAccepted), id="acceptances"),
    ],
)
async def test_real_histories_without_some_of_their_events_are_found(lose: Callable[[e.Event], bool]) -> None:
    store = await memory_store()
    async with coordinator(store, [ORDERS]) as running:
        for seed in range(20):
            await live_through(running, ORDERS, seed)

    def without(record: StoredRecord) -> StoredRecord:
        told = e.decode_record(record.data)
        left = tuple(event for event in told.events if not lose(event))
        return record._replace(data=e.encode_record(told._replace(events=left))) if left else record

    report = await verify(Altered(store, without))

    assert report.found > 0


def test_a_violation_says_what_where_and_why() -> None:
    violation = Violation(Invariant.ONE_END, UUID(int=1), 7, "expected nothing")

    assert (str(violation.invariant), violation.stream.int, violation.position) == ("one_end", 1, 7)
