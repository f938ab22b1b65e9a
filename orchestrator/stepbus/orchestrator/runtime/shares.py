"""Who works on what: how the partitions are shared out among the coordinators that live, from what the leases say.

Every coordinator sees the same leases and comes to the same shares, so they need not talk. What is above a
coordinator's share it gives up; what is free and within its share it takes; the store decides where two want the same.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stepbus.orchestrator.ports import Lease

_MEMBER = "coordinator/"
_PARTITION = "results/"


class Wish(NamedTuple):
    """The partitions that a coordinator should take, and those that it should give up, by number."""

    take: Sequence[int]
    give_up: Sequence[int]


def member(owner: str) -> str:
    """Give the name of the lease by which a coordinator is known to live."""
    return f"{_MEMBER}{owner}"


def partition(number: int) -> str:
    """Give the name of the lease of a partition."""
    return f"{_PARTITION}{number}"


def members(leases: Iterable[Lease]) -> list[str]:
    """Give the owners that live, in an order that all see."""
    return sorted(lease.owner for lease in leases if lease.name.startswith(_MEMBER))


def share(owner: str, living: Sequence[str], partitions: int) -> int:
    """Give how many partitions an owner should have: all have as many, but for the first few, who have one more."""
    if owner not in living:
        return 0
    each, left = divmod(partitions, len(living))
    return each + (living.index(owner) < left)


def are_settled(leases: Sequence[Lease], coordinators: int, partitions: int) -> bool:
    """Say whether so many coordinators live, and each has just its share."""
    living = members(leases)
    held = Counter(lease.owner for lease in leases if lease.name.startswith(_PARTITION))
    return len(living) == coordinators and all(held[owner] == share(owner, living, partitions) for owner in living)


def wish(owner: str, leases: Sequence[Lease], partitions: int) -> Wish:
    """Give what an owner should take and give up, as the leases stand."""
    living = members(leases)
    taken = {lease.name: lease.owner for lease in leases}
    mine = [number for number in range(partitions) if taken.get(partition(number)) == owner]
    free = [number for number in range(partitions) if partition(number) not in taken]
    room = share(owner, living, partitions) - len(mine)
    if room < 0:
        return Wish((), mine[room:])
    begin = living.index(owner) * len(free) // len(living) if living and owner in living else 0
    return Wish((free[begin:] + free[:begin])[:room], ())
