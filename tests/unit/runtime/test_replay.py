"""A replay of the log gives the states that the coordinator has, and nothing else is needed for it."""

from uuid import UUID

import pytest

from stepbus.contracts import events as e
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import Append, StoredRecord
from stepbus.orchestrator.runtime import replay as replaying
from stepbus.orchestrator.runtime.replay import Replayed, replay
from tests.support.logs import Altered, accepted, coordinator, live_through, orders, registered, task, write
from tests.support.world import memory_store

ORDERS = orders()
OTHER = orders("2.0.0", namespace="shop")
CANCELLED = e.TaskCancelled()


def dispatched(step: str) -> e.StepDispatched:
    return e.StepDispatched(step=step, attempt=1, deadline_at_ms=0)


async def test_a_replay_gives_the_states_in_the_coordinators_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "_BATCH", 7)
    store, templates = await memory_store(), [ORDERS, OTHER]
    async with coordinator(store, templates) as running:
        states = [await live_through(running, templates[seed % 2], seed, 10 + seed) for seed in range(20)]

    replayed = {one.task_id: one async for one in replay(store)}

    assert replayed == {
        state.task_id: Replayed(
            state.task_id,
            f"{state.plan.template.namespace}/orders",
            state.version,
            state.events,
            state.status.value,
            state.digest(),
        )
        for state in states
    }
    assert {state.status.value for state in states} >= {"complete", "cancelled", "in_progress"}


async def test_a_task_can_be_replayed_alone() -> None:
    store = await memory_store()
    async with coordinator(store, [ORDERS]) as running:
        state = await live_through(running, ORDERS, 1)
        await live_through(running, ORDERS, 2)

    (one,) = [one async for one in replay(store, state.task_id)]

    assert (one.task_id, one.version, one.events, one.digest) == (
        state.task_id,
        state.version,
        state.events,
        state.digest(),
    )


async def test_two_replays_are_the_same() -> None:
    store = await memory_store()
    async with coordinator(store, [ORDERS]) as running:
        for seed in range(5):
            await live_through(running, ORDERS, seed, 25)

    assert [one async for one in replay(store)] == [one async for one in replay(store)]


async def test_tasks_come_as_they_ended_and_those_that_go_on_come_last() -> None:
    store = await memory_store()
    await write(store, e.CATALOGUE_STREAM, e.CATALOGUE, [registered(ORDERS)])
    for number in (1, 2, 3):
        await write(store, task(number), e.TASK, [accepted(ORDERS, f"request-{number}"), dispatched("a")])
    await write(store, task(3), e.TASK, [CANCELLED])
    await write(store, task(1), e.TASK, [CANCELLED])

    assert [(one.task_id, one.status) async for one in replay(store)] == [
        (task(3), "cancelled"),
        (task(1), "cancelled"),
        (task(2), "in_progress"),
    ]


async def test_a_task_that_went_on_after_its_end_is_given_again() -> None:
    store = await memory_store()
    await write(store, e.CATALOGUE_STREAM, e.CATALOGUE, [registered(ORDERS)])
    await write(store, task(1), e.TASK, [accepted(ORDERS), dispatched("a")], [CANCELLED], [dispatched("b")])

    first, second = [one async for one in replay(store)]

    assert (first.version, first.status, first.events) == (2, "cancelled", 3)
    assert (second.version, second.status, second.events) == (3, "in_progress", 4)
    assert [one async for one in replay(store, task(1))] == [second]


@pytest.mark.parametrize("unknown", [task(9), e.CATALOGUE_STREAM])
async def test_what_is_no_task_gives_nothing(unknown: UUID) -> None:
    store = await memory_store()
    await write(store, e.CATALOGUE_STREAM, e.CATALOGUE, [registered(ORDERS)])

    assert [one async for one in replay(store, unknown)] == []
    assert [one async for one in replay(store)] == []


async def test_a_log_that_loses_its_records_while_it_is_read_comes_to_an_end() -> None:
    store = await memory_store()
    await write(store, task(1), e.TASK, [accepted(ORDERS)])

    assert [one async for one in replay(Altered(store, lambda _: None))] == []


@pytest.mark.parametrize(
    ("events", "code"),
    [
        pytest.param([dispatched("a")], "replay.no_acceptance", id="no acceptance"),
        pytest.param([accepted(OTHER), dispatched("a")], "replay.no_template", id="a template that is not registered"),
    ],
)
async def test_what_cannot_be_folded_is_refused(events: list[e.Event], code: str) -> None:
    store = await memory_store()
    await write(store, e.CATALOGUE_STREAM, e.CATALOGUE, [registered(ORDERS)])
    await write(store, task(1), e.TASK, events)

    for asked in (None, task(1)):
        with pytest.raises(Refused) as refusal:
            [one async for one in replay(store, asked)]
        assert [problem.code for problem in refusal.value.problems] == [code]


async def test_a_record_that_cannot_be_read_is_refused() -> None:
    store = await memory_store()
    await store.append([Append(task(1), 0, e.TASK, b"not JSON")])

    with pytest.raises(Refused, match=r"event\.malformed"):
        [one async for one in replay(store)]


async def test_another_history_gives_another_digest() -> None:
    store = await memory_store()
    async with coordinator(store, [ORDERS]) as running:
        await live_through(running, ORDERS, 3, 5)

    def later(record: StoredRecord) -> StoredRecord:
        told = e.decode_record(record.data)
        events = tuple(
            event.model_copy(update={"context": {"other": 1}}) if isinstance(event, e.TaskAccepted) else event
            for event in told.events
        )
        return record._replace(data=e.encode_record(told._replace(events=events)))

    (one,) = [one async for one in replay(store)]
    (other,) = [one async for one in replay(Altered(store, later))]
    assert one.events == other.events
    assert one.digest != other.digest
