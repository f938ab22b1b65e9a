"""What happens to tasks, handed to those who listen."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest

from stepbus.orchestrator.ports import EventStore, StoredRecord, StoreUnavailable
from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.projections.api.live import _PACE_S, Hub
from tests.support.projected import OTHER_TASK, TASK, Projected, accepted, completed, dispatched


async def test_a_listener_hears_of_every_record_of_its_task_from_its_registration_on(log: Projected) -> None:
    await log.given(accepted())
    hub = Hub(log.store)

    async with hub.listening(TASK) as listener:
        await log.given(dispatched("begin"))
        await log.given(accepted(), stream=OTHER_TASK)
        await log.given(completed("begin"))
        heard = [await listener.next(5), await listener.next(5)]

    assert [record.version for record in heard if record] == [2, 3]


async def test_a_listener_with_too_much_waiting_hears_the_first_of_it_and_then_that_no_more_will_come(
    log: Projected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepbus.projections.api.live.MOST_WAITING", 3)
    hub = Hub(log.store)

    async with hub.listening(TASK) as slow, hub.listening(OTHER_TASK) as other:
        for _ in range(5):
            await log.given(accepted())
        await log.given(accepted(), stream=OTHER_TASK)
        assert await other.next(5) is not None  # all that came before it has been handed out
        heard = [await slow.next(5) for _ in range(3)]

    assert [record.version if record else None for record in heard] == [1, 2, None]
    assert slow.is_done


async def test_what_comes_after_a_silence_is_told_at_once_and_the_next_after_a_pause(
    log: Projected, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def pause(delay_s: float) -> None:
        pauses.append(delay_s)

    monkeypatch.setattr("stepbus.projections.api.live.asyncio.sleep", pause)
    hub = Hub(log.store)

    async with hub.listening(TASK) as listener:
        assert pauses == []
        await log.given(accepted())
        await listener.next(5)

    assert pauses == [_PACE_S]


async def test_everybody_is_told_when_the_hub_closes(log: Projected) -> None:
    hub = Hub(log.store)

    async with hub.listening(TASK) as one, hub.listening(uuid4()) as other:
        hub.close()
        assert await one.next(5) is None
        assert await other.next(5) is None

    assert hub.is_full


async def test_the_log_is_read_only_while_somebody_listens(log: Projected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepbus.projections.api.live._PATIENCE_S", 0.01)
    hub = Hub(log.store)

    async with hub.listening(TASK):
        assert hub.is_reading
    await wait_until(lambda: not hub.is_reading)

    async with hub.listening(TASK) as listener:
        await log.given(accepted())
        assert await listener.next(5) is not None


async def test_a_listener_that_hears_nothing_may_do_something_else(log: Projected) -> None:
    async with Hub(log.store).listening(TASK) as listener:
        with pytest.raises(TimeoutError):
            await listener.next(0.01)


class Failing:
    """A log that can't be read, for as many times as told, and is the real one in all else."""

    def __init__(self, store: EventStore, *failures: Exception) -> None:
        self._store = store
        self.failures = list(failures)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, after: int, limit: int, category: str | None = None) -> Sequence[StoredRecord]:
        """Fail, or read."""
        if self.failures:
            raise self.failures.pop()
        return await self._store.read(after, limit, category)


async def test_a_store_that_is_away_for_a_while_costs_a_listener_nothing_but_time(
    log: Projected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepbus.projections.api.live._PAUSE_S", 0.01)
    hub = Hub(Failing(log.store, StoreUnavailable("away"), StoreUnavailable("away")))

    async with hub.listening(TASK) as listener:
        await log.given(accepted())
        assert await listener.next(5) is not None


async def test_a_reading_that_fails_for_good_lets_its_listeners_go(log: Projected) -> None:
    hub = Hub(Failing(log.store, RuntimeError("a defect")))

    async with hub.listening(TASK) as listener:
        assert await listener.next(5) is None

    async with hub.listening(TASK) as listener:
        await log.given(accepted())
        assert await listener.next(5) is not None
