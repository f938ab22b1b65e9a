"""Ownership on a virtual clock: leases are renewed, shared, taken over, and not believed in after a sleep."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from stepbus.adapters.memory.store import MemoryLog
from stepbus.adapters.recorders.store import open_store
from stepbus.orchestrator.ports import EventStore, Lease, StoreUnavailable
from stepbus.orchestrator.runtime import ownership
from stepbus.orchestrator.runtime.ownership import TIMERS, LeaseTimes, Ownership

TIMES = LeaseTimes(lasts_s=2.5, renewed_every_s=0.5)


class World:
    """A log whose clock is that of all members, and members that beat when they are told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    async def open(self) -> EventStore:
        return await open_store(lambda: MemoryLog(lambda: round(self.now_s * 1000)))

    async def pass_(self, seconds: float, *members: "Member") -> None:
        """Let time pass; these members beat meanwhile, as often as they should."""
        until = self.now_s + seconds
        while self.now_s < until - 1e-9:
            self.now_s += TIMES.renewed_every_s
            for member in members:
                await member.beat()


class Member:
    """A process with its ownership, which remembers what it was told. It gives up what it is asked to, at once."""

    def __init__(self, world: World, store: Any, name: str, partitions: int = 8, *, is_slow: bool = False) -> None:
        self.told: list[tuple[str, list[int]]] = []
        self.asked: list[int] = []
        self.is_slow = is_slow
        self.others = 0
        self.ownership = Ownership(store, partitions, self, owner=name, times=TIMES, clock=lambda: world.now_s)

    async def beat(self) -> None:
        await self.ownership.beat()
        asked, self.asked = self.asked, []
        for partition in () if self.is_slow else asked:
            await self.ownership.give_up(partition)

    @property
    def partitions(self) -> list[int]:
        return list(self.ownership.partitions)

    def gained(self, partitions: Sequence[int]) -> None:
        self.told.append(("gained", list(partitions)))

    def lost(self, partitions: Sequence[int]) -> None:
        self.told.append(("lost", list(partitions)))

    def asked_to_give_up(self, partitions: Sequence[int]) -> None:
        self.asked = list(partitions)

    def accompanied(self, others: int) -> None:
        self.others = others


async def test_who_comes_first_has_everything_at_the_first_beat() -> None:
    world = World()
    a = Member(world, await world.open(), "a")

    await a.beat()

    assert a.told == [("gained", list(range(8)))]
    assert a.others == 0


async def test_a_second_one_has_half_of_it_within_two_beats_and_nothing_is_had_by_both() -> None:
    world = World()
    store = await world.open()
    a, b = Member(world, store, "a"), Member(world, store, "b")
    await a.beat()

    await world.pass_(1.0, b, a)
    await b.beat()

    assert (a.partitions, b.partitions) == ([0, 1, 2, 3], [4, 5, 6, 7])
    assert (a.others, b.others) == (1, 1)


async def test_what_is_still_in_hand_is_kept_and_asked_for_again() -> None:
    world = World()
    store = await world.open()
    a, b = Member(world, store, "a", is_slow=True), Member(world, store, "b")
    await a.beat()

    await world.pass_(10.0, a, b)

    assert (len(a.partitions), b.partitions) == (8, [])
    a.is_slow = False
    await world.pass_(1.0, a, b)
    assert (len(a.partitions), len(b.partitions)) == (4, 4)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
async def test_when_one_dies_the_others_have_its_part_within_three_seconds(count: int) -> None:
    world = World()
    store = await world.open()
    first, *others = [Member(world, store, f"m{number}") for number in range(count)]
    await world.pass_(5.0, first, *others)

    await world.pass_(3.0, *others)

    assert sorted(number for member in others for number in member.partitions) == list(range(8))
    counts = [len(member.partitions) for member in others]
    assert max(counts) - min(counts) <= 1


async def test_who_is_started_again_has_at_once_what_its_dead_predecessor_on_this_machine_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    store = await world.open()
    dead, elsewhere = Member(world, store, "dead"), Member(world, store, "elsewhere")
    await world.pass_(3.0, dead, elsewhere)
    monkeypatch.setattr(ownership, "has_died", lambda owner: owner == "dead")
    again = Member(world, store, "again")

    await again.ownership.bury()
    await again.beat()

    assert again.partitions == dead.partitions
    assert len(elsewhere.partitions) == 4


async def test_what_was_given_up_in_good_order_is_taken_at_the_next_beat() -> None:
    world = World()
    store = await world.open()
    a, b = Member(world, store, "a"), Member(world, store, "b")
    await world.pass_(3.0, a, b)

    await a.ownership.end()
    await b.beat()

    assert len(b.partitions) == 8


async def test_who_slept_beyond_its_leases_believes_in_nothing_and_begins_anew() -> None:
    world = World()
    store = await world.open()
    a, b = Member(world, store, "a"), Member(world, store, "b")
    await world.pass_(5.0, a, b)
    held = a.partitions
    a.told.clear()

    await world.pass_(20.0, b)  # a is stopped

    assert not a.ownership.demand()
    assert a.told == [("lost", held)]
    assert a.partitions == []
    await world.pass_(2.0, a, b)
    assert (len(a.partitions), len(b.partitions)) == (4, 4)


async def test_who_slept_and_was_missed_by_nobody_hears_that_it_lost_and_gained() -> None:
    world = World()
    a = Member(world, await world.open(), "a")
    await a.beat()
    a.told.clear()

    world.now_s += 20
    await a.beat()

    everything = list(range(8))
    assert a.told == [("lost", everything), ("gained", everything)]


async def test_until_its_leases_pass_a_member_goes_on_without_the_store() -> None:
    class Away:
        def __init__(self, store: EventStore) -> None:
            self.store = store
            self.is_away = False

        async def hold(self, owner: str, names: Sequence[str], for_ms: int) -> Sequence[Lease]:
            if self.is_away:
                raise StoreUnavailable("away")
            return await self.store.hold(owner, names, for_ms)

    world = World()
    store = Away(await world.open())
    a = Member(world, store, "a")
    await a.beat()
    store.is_away = True

    for passed_s, holds in ((1.0, True), (1.0, True), (1.0, False)):
        world.now_s += passed_s
        with suppress(StoreUnavailable):
            await a.beat()
        assert a.ownership.demand() is holds


async def test_what_one_does_for_all_moves_on_with_its_lease() -> None:
    world = World()
    store = await world.open()
    a, b = Member(world, store, "a"), Member(world, store, "b")
    of_a, of_b = a.ownership.sole(TIMERS), b.ownership.sole(TIMERS)
    await world.pass_(2.0, a, b)
    assert (of_a.is_set(), of_b.is_set()) == (True, False)
    assert list(a.ownership.held_alone) == [TIMERS]

    await world.pass_(3.0, b)
    a.ownership.demand()

    assert (of_a.is_set(), of_b.is_set()) == (False, True)
    assert not a.ownership.holds(TIMERS)


async def test_who_is_no_coordinator_takes_no_partition_and_counts_as_none() -> None:
    world = World()
    store = await world.open()
    a, views = Member(world, store, "a"), Member(world, store, "views", partitions=0)
    views.ownership.sole("projections")

    await world.pass_(3.0, views, a)

    assert len(a.partitions) == 8
    assert a.others == 0
    assert views.ownership.holds("projections")
