"""Shares: from the leases alone every coordinator comes to its own part, and all parts together are the whole."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepbus.orchestrator.ports import Lease
from stepbus.orchestrator.runtime.shares import Wish, member, partition, share, wish


def leases(living: Sequence[str], **partitions: Sequence[int]) -> list[Lease]:
    """Give the leases of members, and of the partitions that each has."""
    taken = [(partition(number), owner) for owner, numbers in partitions.items() for number in numbers]
    return [Lease(name, owner, 1, 1000) for name, owner in [*((member(one), one) for one in living), *taken]]


def test_who_is_alone_takes_everything() -> None:
    assert wish("a", leases(["a"]), 4) == Wish([0, 1, 2, 3], ())


def test_who_is_not_known_to_live_takes_nothing() -> None:
    assert wish("a", leases(["b"]), 4) == Wish([], ())
    assert wish("a", [], 4) == Wish([], ())


def test_what_another_has_is_not_taken() -> None:
    assert wish("b", leases(["a", "b"], a=range(8)), 8) == Wish([], ())


def test_what_is_above_the_share_is_given_up() -> None:
    assert wish("a", leases(["a", "b"], a=range(8)), 8) == Wish((), [4, 5, 6, 7])


def test_who_has_its_share_does_nothing() -> None:
    assert wish("a", leases(["a", "b"], a=[0, 1], b=[2, 3]), 4) == Wish([], ())


def test_newcomers_look_for_different_ones_of_the_free() -> None:
    living = leases(["a", "b", "c", "d"])
    assert [wish(owner, living, 8).take for owner in "abcd"] == [[0, 1], [2, 3], [4, 5], [6, 7]]


@pytest.mark.parametrize(("partitions", "expected"), [(8, [3, 3, 2]), (2, [1, 1, 0]), (3, [1, 1, 1]), (1, [1, 0, 0])])
def test_shares_differ_by_one_at_most(partitions: int, expected: list[int]) -> None:
    living = ["a", "b", "c"]
    assert [share(owner, living, partitions) for owner in living] == expected


@given(
    partitions=st.integers(1, 64),
    comings=st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=1), min_size=1, max_size=4),
)
def test_whoever_comes_and_goes_soon_each_partition_has_one_owner_and_each_owner_its_share(
    partitions: int, comings: list[set[str]]
) -> None:
    owners: dict[int, str] = {}
    for living in comings:
        owners = {number: owner for number, owner in owners.items() if owner in living}
        for _ in range(3):
            for owner in sorted(living):
                now = [
                    *(Lease(member(one), one, 1, 1000) for one in living),
                    *(Lease(partition(number), one, 1, 1000) for number, one in owners.items()),
                ]
                wanted = wish(owner, now, partitions)
                for number in wanted.give_up:
                    assert owners.pop(number) == owner
                for number in wanted.take:
                    assert number not in owners
                    owners[number] = owner
        assert sorted(owners) == list(range(partitions))
        counts = [list(owners.values()).count(owner) for owner in living]
        assert max(counts) - min(counts) <= 1
