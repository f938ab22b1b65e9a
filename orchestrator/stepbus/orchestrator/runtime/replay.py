"""The states of tasks, folded from their first event: the log alone says where each one stands."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.contracts.problems import refuse
from stepbus.orchestrator.core.evolve import absorb
from stepbus.orchestrator.core.state import ENDED_TASK, TaskState
from stepbus.orchestrator.ports import EventStore, StoredRecord
from stepbus.orchestrator.runtime.catalogue import Catalogue

_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Replayed:
    """Where a task stands by its history.

    Shape: `name` is `<namespace>/<name>` of its template; `version` counts its records and `events` its events;
    `digest` is the SHA-256 of the state, the same that the coordinator gives for the state in its memory.
    """

    task_id: UUID
    name: str
    version: int
    events: int
    status: str
    digest: str


async def replay(store: EventStore, task_id: UUID | None = None) -> AsyncIterator[Replayed]:
    """Give the task, or nothing if the log does not know it; without an id every task.

    Guarantee: of all tasks, those that have ended come in the order in which they ended, the others after them. Kept in
    memory are the states of those that have not ended.

    Raises:
        Refused: a record can't be read, or names a template that is not registered; `verify` tells what is wrong.
    """
    folding = _Folding(store)
    if task_id is None:
        async for state in folding.all_tasks():
            yield _replayed(state)
    elif (one := await folding.task(task_id)) is not None:
        yield _replayed(one)


class _Folding:
    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._catalogue = Catalogue(store)

    async def all_tasks(self) -> AsyncIterator[TaskState]:
        head, position = await self._store.head(), 0
        going_on: dict[UUID, TaskState] = {}
        while position < head and (records := await self._store.read(position, _BATCH, e.TASK)):
            for stored in records:
                state = going_on.pop(stored.stream, None)
                if state is None and stored.version > 1:  # it has ended before, and yet goes on
                    state = await self.task(stored.stream, before=stored.version)
                state = await self._after(state, stored)
                if state.status in ENDED_TASK:
                    yield state
                else:
                    going_on[stored.stream] = state
            position = records[-1].position
        for state in going_on.values():
            yield state

    async def task(self, task_id: UUID, before: int | None = None) -> TaskState | None:
        state: TaskState | None = None
        for stored in await self._store.read_stream(task_id):
            if stored.category != e.TASK or stored.version == before:
                break
            state = await self._after(state, stored)
        return state

    async def _after(self, state: TaskState | None, stored: StoredRecord) -> TaskState:
        record = e.decode_record(stored.data)
        if state is None:
            state = await self._begun(stored, record)
        state.version = stored.version
        for event in record.events:
            absorb(state, event)
        return state

    async def _begun(self, stored: StoredRecord, record: e.Record) -> TaskState:
        accepted = record.events[0]
        if not isinstance(accepted, e.TaskAccepted):
            message = f"expected task {stored.stream} to begin with TaskAccepted, found {accepted.TYPE}"
            raise refuse("replay.no_acceptance", message)
        try:
            plan = await self._catalogue.by_hash(accepted.template_hash)
        except KeyError as error:
            message = f"expected the template of task {stored.stream} to be registered, found none"
            raise refuse("replay.no_template", message) from error
        return TaskState.blank(stored.stream, plan)


def _replayed(state: TaskState) -> Replayed:
    template = state.plan.template
    name = f"{template.namespace}/{template.name}"
    return Replayed(state.task_id, name, state.version, state.events, state.status.value, state.digest())
