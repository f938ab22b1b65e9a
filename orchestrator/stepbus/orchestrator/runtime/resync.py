"""For a broker that came back empty: the jobs of all open attempts, sent again as the log says they were sent.

Nothing is decided and nothing is stored. A job has the id and the bytes that it had before, so a broker that still
holds it knows it as a repeat, and where one does not, its answers are told apart by the attempt. Replies that a client
was waiting for are left out: whoever waited asks again.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.orchestrator.core.route import Letter, Origin, Place, route
from stepbus.orchestrator.ports import Bus, BusUnavailable, EventStore, NotSent, Outgoing
from stepbus.orchestrator.runtime.catalogue import Catalogue
from stepbus.orchestrator.runtime.tasks import Tasks

_BATCH = 1_000
_SENT_TOGETHER = 200
_PATIENCE_S = 60.0
_PAUSE_S = 0.2

_ENDED = (e.TaskCompleted, e.TaskCancelled, e.TaskResolvedManually)
_OVER = (e.StepCompleted, e.StepFailed, e.StepTimedOut, e.StepCancelled, e.StepResolvedManually)


@dataclass(frozen=True, slots=True)
class Resynced:
    """What was sent again.

    Shape: `jobs` of so many `tasks`, on these `queues`; `undeliverable` jobs no broker will ever take, each with the
    reason, by the job's id.
    """

    jobs: int
    tasks: int
    queues: Sequence[str]
    undeliverable: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Dispatch:
    place: Place
    event: e.StepDispatched


async def resync(store: EventStore, bus: Bus, partitions: int) -> Resynced:
    """Send the jobs of all attempts that are open now; first provision what they need, where it is not there.

    Coordinators may run meanwhile, and nothing need have been lost.

    Raises:
        BusUnavailable: the broker did not confirm within a minute; do it again.
        StoreUnavailable: the log can't be read.
        Refused: what exists on the broker is of another make.
    """
    identity = await store.identity()
    results = tuple(bus.address(f"results.{number}") for number in range(partitions))
    origin = Origin(identity.epoch, identity.secret, results)
    jobs = [letter async for letter in _jobs(store, origin, await _dispatches(store))]
    queues = sorted({job.channel.removeprefix("jobs.") for job in jobs})
    await bus.provision(queues)
    undeliverable: dict[str, str] = {}
    for first in range(0, len(jobs), _SENT_TOGETHER):
        undeliverable |= await _send(bus, jobs[first : first + _SENT_TOGETHER])
    return Resynced(len(jobs) - len(undeliverable), len({job.key for job in jobs}), queues, undeliverable)


async def _dispatches(store: EventStore) -> Mapping[UUID, Mapping[str, _Dispatch]]:
    """Give by task and step the last dispatch that the log has no end of."""
    found: dict[UUID, dict[str, _Dispatch]] = {}
    head, position = await store.head(), 0
    while position < head and (records := await store.read(position, _BATCH, e.TASK)):
        for stored in records:
            record = e.decode_record(stored.data)
            for index, event in enumerate(record.events):
                if isinstance(event, e.StepDispatched):
                    place = Place(stored.position, index, record.meta, stored.stream)
                    found.setdefault(stored.stream, {})[event.step] = _Dispatch(place, event)
                elif isinstance(event, _ENDED):
                    found.pop(stored.stream, None)
                elif isinstance(event, _OVER):
                    found.get(stored.stream, {}).pop(event.step, None)
        position = records[-1].position
    return found


async def _jobs(
    store: EventStore, origin: Origin, dispatches: Mapping[UUID, Mapping[str, _Dispatch]]
) -> AsyncIterator[Letter]:
    """Give the jobs of the attempts that are still in hand, of one task after the other."""
    tasks = Tasks(store, Catalogue(store), room=1)
    for task_id, by_step in dispatches.items():
        task = await tasks.refreshed(task_id) if by_step else None
        if task is not None:
            for dispatch in by_step.values():
                for letter in route(origin, dispatch.place, dispatch.event, task.state):
                    yield letter


async def _send(bus: Bus, jobs: Sequence[Letter]) -> Mapping[str, str]:
    """Publish all of these until each is confirmed or can never be; give the reasons of the latter by id."""
    deadline = monotonic() + _PATIENCE_S
    undeliverable: dict[str, str] = {}
    left = list(jobs)
    while left:
        answers = await bus.publish([Outgoing(job.channel, job.id, job.body, job.key) for job in left])
        failed = [(job, answer) for job, answer in zip(left, answers, strict=True) if isinstance(answer, NotSent)]
        undeliverable |= {job.id: answer.reason for job, answer in failed if answer.permanent}
        left = [job for job, answer in failed if not answer.permanent]
        if left and monotonic() > deadline:
            reason = failed[0][1].reason
            raise BusUnavailable(f"expected the broker to confirm {len(left)} jobs in {_PATIENCE_S:g} s, but {reason}")
        if left:
            await asyncio.sleep(_PAUSE_S)
    return undeliverable
