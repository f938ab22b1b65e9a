"""What a coordinator works on: the partitions of the results, each taken in, relayed, and handed on.

```
gained ──▶ relay takes the slots from their checkpoints ──▶ intake takes in the channel
to give up ──▶ intake finishes what is in hand ──▶ relay keeps its checkpoints ──▶ the lease is let go
lost ──▶ relay and intake drop it at once, and so are the states of all tasks: others may have moved them on
```
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from stepbus.orchestrator.ports import BusUnavailable, StoreUnavailable, end_tasks
from stepbus.orchestrator.runtime.coordinator import Coordinator
from stepbus.orchestrator.runtime.intake import Intake
from stepbus.orchestrator.runtime.ownership import Ownership
from stepbus.orchestrator.runtime.relay import Relay

_log = logging.getLogger(__name__)

_AGAIN_S = 0.5


@dataclass(slots=True)
class _Place:
    """A partition that is worked on. It is taken in until it `ends`; whoever is to have it next waits for `task`."""

    ends: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None
    is_leaving: bool = False
    trouble: str = ""


class Estate:
    """The partitions that this process works on: the tenant of its leases."""

    def __init__(self, coordinator: Coordinator, intake: Intake, relay: Relay) -> None:
        self._coordinator = coordinator
        self._intake = intake
        self._relay = relay
        self._places: dict[int, _Place] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self.ownership: Ownership | None = None

    @property
    def partitions(self) -> Sequence[int]:
        """Give the partitions that are worked on."""
        return sorted(self._places)

    def gained(self, partitions: Sequence[int]) -> None:
        """Begin to work on these."""
        for partition in partitions:
            place = self._places[partition] = _Place()
            place.task = asyncio.create_task(self._work(partition, place), name=f"results {partition}")

    def asked_to_give_up(self, partitions: Sequence[int]) -> None:
        """Finish what is in hand of these, and let others have them."""
        for partition in partitions:
            place = self._places.get(partition)
            if place is not None and not place.is_leaving:
                place.is_leaving = True
                leaving = asyncio.create_task(self._give_up(partition, place), name=f"giving up results {partition}")
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)

    def accompanied(self, others: int) -> None:
        """Hear how many others there are: what they commit is to be seen soon."""
        self._relay.follower.has_company = others > 0

    def lost(self, partitions: Sequence[int]) -> None:
        """Drop what is in hand of these."""
        for partition in partitions:
            self._relay.drop(self._slots(partition))
            place = self._places.pop(partition, None)
            if place is not None:
                place.ends.set()
        self._coordinator.tasks.clear()

    def health(self) -> dict[str, object]:
        """Say what is worked on, and what is wrong with it."""
        for partition, place in self._places.items():
            if place.trouble:
                return {"ok": False, "detail": f"partition {partition}: {place.trouble}"}
        numbers = ", ".join(map(str, self.partitions)) or "none"
        others = 0 if self.ownership is None else len(self.ownership.others)
        sole = "" if self.ownership is None else "".join(f", {name}" for name in self.ownership.held_alone)
        return {"ok": True, "detail": f"partitions {numbers}{sole}; {others} other coordinators"}

    async def finish(self) -> None:
        """End all intake, after what is in hand."""
        places = list(self._places.values())
        for place in places:
            place.ends.set()
        await asyncio.gather(*(place.task for place in places if place.task is not None), return_exceptions=True)

    async def end(self) -> None:
        """End at once what still runs."""
        await end_tasks(*[place.task for place in self._places.values()], *self._leaving)
        self._places.clear()

    async def _work(self, partition: int, place: _Place) -> None:
        """Work on a partition until it ends, whatever goes wrong meanwhile."""
        is_relayed = False
        while not place.ends.is_set():
            try:
                if not is_relayed:
                    positions = await self._relay.positions(self._slots(partition))
                    if self._places.get(partition) is not place:
                        return
                    self._relay.take(positions)
                    is_relayed = True
                await self._intake.run((f"results.{partition}",), place.ends)
            except (StoreUnavailable, BusUnavailable) as error:
                place.trouble = str(error)
                _log.warning("partition %d can't be worked on now: %s", partition, error)
            except Exception as error:  # noqa: BLE001 - the others go on, and this one begins again
                place.trouble = repr(error)
                _log.exception("partition %d failed and is begun again", partition)
            else:
                return
            await asyncio.sleep(_AGAIN_S)
            place.trouble = ""

    async def _give_up(self, partition: int, place: _Place) -> None:
        place.ends.set()
        if place.task is not None:
            await asyncio.wait([place.task])
        if self._places.get(partition) is not place:
            return  # it was lost meanwhile
        await self._relay.give_up(self._slots(partition))
        if self._places.get(partition) is place:
            del self._places[partition]
            if self.ownership is not None:
                await self.ownership.give_up(partition)

    def _slots(self, partition: int) -> Sequence[int]:
        return self._intake.origin.slots_of(partition)
