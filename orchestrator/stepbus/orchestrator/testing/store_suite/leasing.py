"""Leases: a name has one owner at a time, by the store's clock."""

import asyncio
from collections.abc import Mapping

import pytest

from stepbus.orchestrator.ports import EventStore, Lease
from stepbus.orchestrator.testing.store_suite.bench import PATIENCE_S, Bench, OpenStore
from stepbus.orchestrator.testing.waiting import wait_until

LONG_MS = 600_000
SHORT_MS = 50


def owners(leases: Mapping[str, Lease]) -> dict[str, str]:
    """Give who has what."""
    return {name: lease.owner for name, lease in leases.items()}


async def hold(store: EventStore, owner: str, *names: str, for_ms: int = LONG_MS) -> dict[str, Lease]:
    """Hold leases, and give all that hold by name."""
    leases = await store.hold(owner, names, for_ms)
    assert [lease.name for lease in leases] == sorted({lease.name for lease in leases})
    return {lease.name: lease for lease in leases}


async def until_taken(store: EventStore, owner: str, name: str) -> Lease:
    """Ask for a lease until it is the owner's."""
    taken: list[Lease] = []

    async def is_taken() -> bool:
        lease = (await hold(store, owner, name)).get(name)
        if lease is None or lease.owner != owner:
            return False  # it may just have ended
        taken.append(lease)
        return True

    await wait_until(is_taken, within_s=PATIENCE_S)
    return taken[-1]


class Leasing(Bench):
    """Cases of `hold` and `release`."""

    async def test_a_free_lease_is_taken_for_as_long_as_was_asked(self, store: EventStore) -> None:
        lease = (await hold(store, "a", "one"))["one"]

        assert (lease.name, lease.owner) == ("one", "a")
        assert lease.number > 0
        assert LONG_MS - PATIENCE_S * 1000 < lease.left_ms <= LONG_MS

    async def test_a_lease_that_another_has_is_not_taken(self, store: EventStore, open_again: OpenStore) -> None:
        first = await hold(store, "a", "one")

        found = await hold(await open_again(), "b", "one", "two")

        assert owners(found) == {"one": "a", "two": "b"}
        assert found["one"].number == first["one"].number

    async def test_of_many_who_ask_at_once_one_has_it(self, store: EventStore, open_again: OpenStore) -> None:
        stores = [store, await open_again(), await open_again()]
        names = [f"n{number}" for number in range(16)]

        found = await asyncio.gather(*(hold(stores[n % 3], f"owner-{n}", *names[n:], *names[:n]) for n in range(12)))

        assert all(len(leases) == len(names) for leases in found)
        assert len({tuple(owners(leases).items()) for leases in found}) == 1

    async def test_asking_for_none_tells_what_holds(self, store: EventStore, open_again: OpenStore) -> None:
        assert await hold(store, "a") == {}
        await hold(store, "a", "two", "one")

        assert owners(await hold(await open_again(), "b")) == {"one": "a", "two": "a"}

    async def test_a_renewed_lease_keeps_its_number_and_lasts_longer(self, store: EventStore) -> None:
        first = (await hold(store, "a", "one", for_ms=LONG_MS // 2))["one"]

        again = (await hold(store, "a", "one"))["one"]

        assert again.number == first.number
        assert again.left_ms > LONG_MS // 2

    async def test_a_lease_that_is_not_renewed_ends_and_is_taken_over_under_a_higher_number(
        self, store: EventStore, open_again: OpenStore
    ) -> None:
        first = (await hold(store, "a", "one", for_ms=SHORT_MS))["one"]

        second = await until_taken(await open_again(), "b", "one")

        assert second.number > first.number
        assert owners(await hold(store, "a", "one")) == {"one": "b"}

    async def test_who_lets_a_lease_end_has_it_again_under_a_higher_number(self, store: EventStore) -> None:
        first = (await hold(store, "a", "one", for_ms=SHORT_MS))["one"]

        async def has_ended() -> bool:
            return "one" not in await hold(store, "b")

        await wait_until(has_ended, within_s=PATIENCE_S)
        assert (await hold(store, "a", "one"))["one"].number > first.number

    async def test_a_released_lease_is_free_at_once(self, store: EventStore, open_again: OpenStore) -> None:
        first = await hold(store, "a", "one", "two")

        await store.release("a", ["one"])

        found = await hold(await open_again(), "b", "one", "two")
        assert owners(found) == {"one": "b", "two": "a"}
        assert found["one"].number > first["one"].number

    async def test_what_another_has_is_not_released(self, store: EventStore) -> None:
        await hold(store, "a", "one")

        await store.release("b", ["one", "nobody's"])

        assert owners(await hold(store, "b", "one")) == {"one": "a"}

    async def test_a_lease_outlives_the_store_that_took_it(self, store: EventStore, open_again: OpenStore) -> None:
        await hold(store, "a", "one")
        await store.close()

        assert owners(await hold(await open_again(), "b", "one")) == {"one": "a"}

    @pytest.mark.parametrize("for_ms", [0, -1])
    async def test_a_lease_of_no_time_is_an_error(self, store: EventStore, for_ms: int) -> None:
        with pytest.raises(ValueError, match="1 ms"):
            await store.hold("a", ["one"], for_ms)
