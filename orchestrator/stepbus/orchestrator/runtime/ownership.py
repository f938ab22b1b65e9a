"""The leases of this process: renewed in time, taken where they are free, given up where others should have them.

What is held is known to be held until a moment of this machine's monotonic clock, counted from before the store was
asked. A process that slept beyond it (it was stopped, or the store was away) has lost everything until it is told
otherwise, whatever it still believes; whoever acts on a lease asks `demand` first.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from stepbus.orchestrator.ports import EventStore, Lease, StoreUnavailable
from stepbus.orchestrator.runtime import shares
from stepbus.orchestrator.runtime.owners import has_died, new_owner

_log = logging.getLogger(__name__)

TIMERS = "timers"
PROJECTIONS = "projections"


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """How long a lease lasts, and how often it is renewed. One that died is replaced after their sum at most."""

    lasts_s: float = 2.5
    renewed_every_s: float = 0.5


class Tenant(Protocol):
    """Somebody who works on what this process holds."""

    def gained(self, partitions: Sequence[int]) -> None:
        """Begin to work on these."""
        ...

    def asked_to_give_up(self, partitions: Sequence[int]) -> None:
        """Finish what is in hand of these, then call `Ownership.give_up` for each. May be asked again and again."""
        ...

    def lost(self, partitions: Sequence[int]) -> None:
        """Drop what is in hand of these: others have them."""
        ...

    def accompanied(self, others: int) -> None:
        """Hear how many others there are."""
        ...


class Ownership:
    """What this process holds of the work on one log. One with no partitions is no coordinator, and counts as none."""

    def __init__(
        self,
        store: EventStore,
        partitions: int,
        tenant: Tenant,
        *,
        owner: str = "",
        times: LeaseTimes | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._partitions = partitions
        self._tenant = tenant
        self._times = times or LeaseTimes()
        self._clock = clock
        self._held: dict[str, int] = {}
        self._until = 0.0
        self._sole: dict[str, asyncio.Event] = {}
        self.owner = owner or new_owner()
        self.others: Sequence[str] = ()

    @property
    def partitions(self) -> Sequence[int]:
        """Give the partitions that are held now."""
        return [number for number in range(self._partitions) if shares.partition(number) in self._held]

    def holds(self, name: str) -> bool:
        """Say whether a lease is held now."""
        return self.demand() and name in self._held

    def demand(self) -> bool:
        """Say whether what is held is known to be held now; if it is not, it is lost, and the tenant told."""
        if self._held and self._clock() >= self._until:
            _log.warning("the leases of %s have passed: it slept, or the store was away", self.owner)
            self._take_in({})
        return bool(self._held)

    def sole(self, name: str) -> asyncio.Event:
        """Give what is set while a lease is held that this process asks for from now on."""
        return self._sole.setdefault(name, asyncio.Event())

    @property
    def held_alone(self) -> Sequence[str]:
        """Give what is held of that which one process does for all."""
        return [name for name in self._sole if name in self._held]

    async def run(self) -> None:
        """Beat for ever."""
        is_new = True
        while True:
            try:
                if is_new:
                    await self.bury()
                    is_new = False
                await self.beat()
            except (StoreUnavailable, TimeoutError) as error:
                _log.warning("the leases could not be renewed: %s", str(error) or "the store did not answer in time")
                self.demand()
            await asyncio.sleep(self._times.renewed_every_s)

    async def bury(self) -> None:
        """End the leases of processes that are seen from here to be gone: who is started again need not wait for them.

        Raises:
            StoreUnavailable, TimeoutError: they end by themselves.
        """
        leases = await self._hold(())
        for owner in {lease.owner for lease in leases if has_died(lease.owner)}:
            await self._store.release(owner, [lease.name for lease in leases if lease.owner == owner])

    async def beat(self) -> None:
        """Renew what is held, take what is free and due to this process, ask the tenant for what is due to others.

        Raises:
            StoreUnavailable, TimeoutError: nothing is known to be renewed.
        """
        self.demand()
        asked_at = self._clock()
        membership = [shares.member(self.owner)] if self._partitions else []
        leases = await self._hold([*membership, *self._sole, *self._held])
        self._until = asked_at + self._times.lasts_s
        wish = shares.wish(self.owner, leases, self._partitions)
        if wish.take:
            leases = await self._hold([shares.partition(number) for number in wish.take])
        self._take_in({lease.name: lease.number for lease in leases if lease.owner == self.owner})
        self.others = [owner for owner in shares.members(leases) if owner != self.owner]
        self._tenant.accompanied(len(self.others))
        if wish.give_up:
            self._tenant.asked_to_give_up(wish.give_up)

    async def give_up(self, partition: int) -> None:
        """Let another have a partition at once; nothing of it is in hand."""
        name = shares.partition(partition)
        if self._held.pop(name, None) is not None:
            with suppress(StoreUnavailable):  # then it ends by itself
                await self._store.release(self.owner, [name])

    async def end(self) -> None:
        """Let others have everything at once; nothing is in hand."""
        names, self._held = list(self._held), {}
        with suppress(StoreUnavailable):  # then it ends by itself
            await self._store.release(self.owner, names)

    async def _hold(self, names: Sequence[str]) -> Sequence[Lease]:
        async with asyncio.timeout(self._times.lasts_s):
            return await self._store.hold(self.owner, sorted(set(names)), round(self._times.lasts_s * 1000))

    def _take_in(self, held: Mapping[str, int]) -> None:
        """Tell the tenant what was lost and what was gained. One that was lost and is held again was both."""
        before, self._held = self._held, dict(held)
        lost = [name for name, number in before.items() if held.get(name) != number]
        gained = [name for name, number in held.items() if before.get(name) != number]
        for names, tell in ((lost, self._tenant.lost), (gained, self._tenant.gained)):
            numbers = [number for number in range(self._partitions) if shares.partition(number) in names]
            if numbers:
                tell(numbers)
        for name, event in self._sole.items():
            if name in lost:
                event.clear()
            if name in held:
                event.set()
