"""Rounds: take what has come, decide all of it, commit once, tell everybody.

While one round commits, the next one gathers; so one fsync carries as many decisions as came in its time, and a lone
one waits for nobody. A stream that moved on refuses its own appends alone: those are decided again, on what it holds
now.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.contracts.problems import Problem
from stepbus.orchestrator.core.commands import RequestTask
from stepbus.orchestrator.core.decide import Decision, Rejection, decide
from stepbus.orchestrator.core.evolve import fold
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.ports import Append, Appended, EventStore, StoreUnavailable
from stepbus.orchestrator.runtime.catalogue import Catalogue
from stepbus.orchestrator.runtime.clock import StoreClock
from stepbus.orchestrator.runtime.follow import Committed, Follower
from stepbus.orchestrator.runtime.intents import Cause, Intent, NoteIntent, Outcome, RegisterIntent, TaskIntent
from stepbus.orchestrator.runtime.tasks import TaskInHand, Tasks

_log = logging.getLogger(__name__)
_TRIES = 8


class Undecidable(Exception):
    """The core could not decide this intent; nothing was stored for it."""


@dataclass(frozen=True, slots=True)
class RoundLimits:
    """How many intents a round decides at most, and how long it waits for more than the first."""

    count: int = 512
    wait_s: float = 0.0


@dataclass(slots=True, eq=False)
class _Work:
    intent: Intent
    done: "asyncio.Future[Outcome]"
    tries: int = 0
    doubted: bool = False

    def finish(self, outcome: Outcome) -> None:
        if not self.done.done():
            self.done.set_result(outcome)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a record goes: its stream, the stream's version so far, and the place of the record's first event."""

    stream: UUID
    expected: int
    category: str
    first: int


@dataclass(frozen=True, slots=True)
class _Prepared:
    work: _Work
    append: Append
    record: e.Record
    task: TaskInHand | None = None


@dataclass(slots=True)
class _Round:
    """What one round has decided so far: its appends, the tasks as they will stand, and what must wait for the next."""

    prepared: list[_Prepared] = field(default_factory=list)
    tasks: dict[UUID, TaskInHand] = field(default_factory=dict)
    fresh: set[UUID] = field(default_factory=set)
    postponed: list[_Work] = field(default_factory=list)
    streams: set[UUID] = field(default_factory=set)


class Coordinator:
    """Decides intents in rounds. What `submit` answers is in the log."""

    def __init__(
        self, store: EventStore, catalogue: Catalogue, tasks: Tasks, clock: StoreClock, limits: RoundLimits
    ) -> None:
        self._store = store
        self._limits = limits
        self._waiting: deque[_Work] = deque()
        self._woken = asyncio.Event()
        self._is_deciding = False
        self._followers: list[Follower] = []
        self.catalogue = catalogue
        self.tasks = tasks
        self.clock = clock

    def inform(self, follower: Follower) -> None:
        """Let a reader of the log have what is committed here at once."""
        self._followers.append(follower)

    def submit(self, intent: Intent) -> "asyncio.Future[Outcome]":
        """Have an intent decided in the next round.

        Raises:
            StoreUnavailable: nothing is known to be stored; submit it again.
            Undecidable: the decision itself failed; nothing was stored.
        """
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Work(intent, done))
        self._woken.set()
        return done

    async def run(self) -> None:
        """Hold rounds for ever. Cancelled between rounds, it leaves what waits undecided."""
        while True:
            while not self._waiting:
                self._woken.clear()
                await self._woken.wait()
            if self._limits.wait_s and len(self._waiting) < self._limits.count:
                await asyncio.sleep(self._limits.wait_s)
            works = [self._waiting.popleft() for _ in range(min(self._limits.count, len(self._waiting)))]
            self._is_deciding = True
            try:
                await self._hold(works)
            except StoreUnavailable as error:
                self._give_up(works, error)
            except Exception as error:  # noqa: BLE001 - a round must not end the rounds: each intent hears of it
                _log.exception("a round failed")
                self._give_up(works, Undecidable(repr(error)))
            self._is_deciding = False

    @property
    def is_idle(self) -> bool:
        """Say whether nothing waits to be decided."""
        return not self._waiting and not self._is_deciding

    async def _hold(self, works: Sequence[_Work]) -> None:
        draft = _Round()
        await self.clock.refresh()
        await self._load(draft, works)
        for work in works:
            self._prepare(draft, work)
        if draft.prepared:
            await self._commit(draft)
        self._waiting.extendleft(reversed(draft.postponed))

    async def _load(self, draft: _Round, works: Sequence[_Work]) -> None:
        """Bring the tasks of the round to hand: those that are not, and those whose state is in doubt.

        A requested task is taken for a new one; if it is not, its append conflicts, and then it is in doubt.
        """
        wanted: set[UUID] = set()
        for work in works:
            if isinstance(work.intent, TaskIntent):
                command = work.intent.command
                is_there = isinstance(command, RequestTask) or self.tasks.kept(command.task_id) is not None
                if work.doubted or not is_there:
                    wanted.add(command.task_id)
            elif isinstance(work.intent, RegisterIntent):
                await self.catalogue.refresh()
        draft.fresh = wanted
        found = await asyncio.gather(*map(self.tasks.refreshed, wanted))
        draft.tasks = {task.state.task_id: task for task in found if task is not None}

    def _prepare(self, draft: _Round, work: _Work) -> None:
        match work.intent:
            case TaskIntent():
                self._prepare_task(draft, work, work.intent)
            case RegisterIntent():
                self._prepare_registration(draft, work, work.intent)
            case NoteIntent():
                note = work.intent
                place = _Place(note.stream, note.expected, note.category, note.expected + 1)
                self._add(draft, work, place, (note.event,), note.cause)

    def _prepare_task(self, draft: _Round, work: _Work, intent: TaskIntent) -> None:
        command, task_id = intent.command, intent.command.task_id
        task = draft.tasks.get(task_id) or self.tasks.kept(task_id)
        if task is None:
            if not isinstance(command, RequestTask):
                problem = Problem(code="task.unknown", message=f"expected a task of this log, found {task_id}")
                work.finish(Outcome(task_id, rejection=Rejection((problem,), "missing")))
                return
            blank = TaskState.blank(task_id, command.plan)
            task = TaskInHand(blank, intent.cause.tenant, intent.cause.correlation_id or str(task_id))
        decision = self._decided(work, task.state, intent)
        if decision is None:
            return
        if not decision.events:
            if task_id in draft.fresh:
                work.finish(Outcome(task_id, rejection=decision.rejection))
            else:
                work.doubted = True
                draft.postponed.append(work)
            return
        after = fold(task.state, decision.events)
        after.version += 1
        draft.tasks[task_id] = TaskInHand(after, task.tenant, task.correlation_id)
        cause = Cause(intent.cause.actor, intent.cause.causation_id, task.correlation_id, task.tenant)
        place = _Place(task_id, task.state.version, e.TASK, task.state.events + 1)
        self._add(draft, work, place, decision.events, cause, draft.tasks[task_id])

    def _decided(self, work: _Work, state: TaskState, intent: TaskIntent) -> Decision | None:
        try:
            return decide(state, intent.command)
        except Exception as error:  # noqa: BLE001 - one task's trouble must not hold up the others
            _log.exception("could not decide %s for task %s", type(intent.command).__name__, state.task_id)
            work.fail(Undecidable(repr(error)))
            return None

    def _prepare_registration(self, draft: _Round, work: _Work, intent: RegisterIntent) -> None:
        if e.CATALOGUE_STREAM in draft.streams:
            draft.postponed.append(work)
            return
        decision = self.catalogue.decide(intent.template)
        if not decision.events:
            work.finish(Outcome(e.CATALOGUE_STREAM, rejection=decision.rejection))
            return
        place = _Place(e.CATALOGUE_STREAM, self.catalogue.version, e.CATALOGUE, self.catalogue.events + 1)
        self._add(draft, work, place, decision.events, intent.cause)

    def _add(
        self,
        draft: _Round,
        work: _Work,
        place: _Place,
        events: tuple[e.Event, ...],
        cause: Cause,
        task: TaskInHand | None = None,
    ) -> None:
        record = e.Record(first=place.first, meta=cause.metadata(self.clock.now_ms()), events=events)
        append = Append(place.stream, place.expected, place.category, e.encode_record(record))
        draft.streams.add(place.stream)
        draft.prepared.append(_Prepared(work, append, record, task))

    async def _commit(self, draft: _Round) -> None:
        answers = await self._store.append([prepared.append for prepared in draft.prepared])
        committed: list[Committed] = []
        for prepared, answer in zip(draft.prepared, answers, strict=True):
            append = prepared.append
            if isinstance(answer, Appended):
                committed.append(self._committed(prepared, answer.position))
                prepared.work.finish(Outcome(append.stream, answer.position))
            elif isinstance(prepared.work.intent, NoteIntent):
                prepared.work.finish(Outcome(append.stream))
            else:
                self.tasks.forget(append.stream)
                self._again(draft, prepared.work)
        committed.sort(key=lambda entry: entry.position)
        for follower in self._followers:
            follower.offer(committed)

    def _committed(self, prepared: _Prepared, position: int) -> Committed:
        append, task = prepared.append, prepared.task
        version = append.expected + 1
        if task is not None:
            self.tasks.keep(task)
        elif append.category == e.CATALOGUE:
            self.catalogue.absorb(version, prepared.record)
        state = None if task is None else task.state
        return Committed(position, append.stream, version, append.category, prepared.record, state)

    def _again(self, draft: _Round, work: _Work) -> None:
        work.tries += 1
        work.doubted = True
        if work.tries < _TRIES:
            draft.postponed.append(work)
        else:
            work.fail(StoreUnavailable(f"expected to append within {_TRIES} tries, but the stream moved on each time"))

    def _give_up(self, works: Sequence[_Work], error: Exception) -> None:
        for work in works:
            if isinstance(work.intent, TaskIntent):
                self.tasks.forget(work.intent.command.task_id)
            work.fail(error)
