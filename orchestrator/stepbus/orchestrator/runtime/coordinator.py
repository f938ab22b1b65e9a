"""Rounds: take what has come, decide all of it, commit once, tell everybody.

While one round commits, the next one gathers; so one fsync carries as many decisions as came in its time, and a lone
one waits for nobody. A stream that moved on refuses its own appends alone: those are decided again, on what it holds
now.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple, Protocol
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.contracts.problems import Problem
from stepbus.orchestrator.core.commands import RequestTask
from stepbus.orchestrator.core.decide import Rejection, decide
from stepbus.orchestrator.core.evolve import absorb
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.ports import Append, Appended, EventStore, StoreUnavailable
from stepbus.orchestrator.runtime.asked import Answers, Asked, Undecidable, Work
from stepbus.orchestrator.runtime.catalogue import Catalogue
from stepbus.orchestrator.runtime.clock import StoreClock
from stepbus.orchestrator.runtime.follow import Committed
from stepbus.orchestrator.runtime.intents import (
    AnnounceIntent,
    Cause,
    Intent,
    NoteIntent,
    Outcome,
    RegisterIntent,
    TaskIntent,
)
from stepbus.orchestrator.runtime.tasks import TaskInHand, Tasks
from stepbus.orchestrator.runtime.workers import worker_stream

_log = logging.getLogger(__name__)
_TRIES = 8


@dataclass(frozen=True, slots=True)
class RoundLimits:
    """How many intents a round decides at most, and how long it waits for more than the first."""

    count: int = 200
    wait_s: float = 0.0


class Reader(Protocol):
    """Somebody who is told of each commit of this process."""

    def offer(self, committed: Sequence[Committed]) -> None:
        """Take what was just committed, in order; called before the next round begins."""
        ...


class _Prepared(NamedTuple):
    work: Work
    append: Append
    record: e.Record
    task: TaskInHand | None


@dataclass(slots=True)
class _Round:
    """What one round has decided so far: its appends, the tasks it has in hand, and what must wait for the next.

    Shape: `tasks` are by the integer of their id. Those in `fresh` were read from the log for this round.
    """

    at_ms: int
    prepared: list[_Prepared] = field(default_factory=list)
    tasks: dict[int, TaskInHand] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)
    postponed: list[Work] = field(default_factory=list)
    has_registration: bool = False


class Coordinator:
    """Decides intents in rounds. What `submit` answers is in the log."""

    def __init__(
        self, store: EventStore, catalogue: Catalogue, tasks: Tasks, clock: StoreClock, limits: RoundLimits
    ) -> None:
        self._store = store
        self._limits = limits
        self._waiting: deque[Work] = deque()
        self._woken = asyncio.Event()
        self._is_deciding = False
        self._readers: list[Reader] = []
        self.demand: Callable[[], object] = lambda: True
        self.catalogue = catalogue
        self.tasks = tasks
        self.clock = clock

    def inform(self, reader: Reader) -> None:
        """Let somebody have what is committed here at once."""
        self._readers.append(reader)

    async def submit(self, intent: Intent) -> Outcome:
        """Have an intent decided in the next round.

        Raises:
            StoreUnavailable: nothing is known to be stored; submit it again.
            Undecidable: the decision itself failed; nothing was stored.
        """
        (answer,) = await self.submit_all((intent,))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def submit_all(self, intents: Sequence[Intent]) -> "asyncio.Future[Answers]":
        """Have intents decided, in their order; the answers are in the same order.

        An intent that `submit` would raise for is answered with the error.
        """
        asked = Asked(len(intents))
        self._waiting.extend([Work(intent, asked, place) for place, intent in enumerate(intents)])
        self._woken.set()
        return asked.done

    @property
    def backlog(self) -> int:
        """Give how many intents wait for a round."""
        return len(self._waiting)

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

    async def _hold(self, works: Sequence[Work]) -> None:
        self.demand()
        await self.clock.refresh()
        draft = _Round(self.clock.now_ms())
        await self._load(draft, works)
        for work in works:
            try:
                self._prepare(draft, work)
            except Exception as error:  # noqa: BLE001 - one task's trouble must not hold up the others
                _log.exception("could not decide %s", work.intent)
                work.answer(Undecidable(repr(error)))
        if draft.prepared:
            await self._commit(draft)
        self._waiting.extendleft(reversed(draft.postponed))

    async def _load(self, draft: _Round, works: Sequence[Work]) -> None:
        """Bring the tasks of the round to hand: those that are not, and those whose state is in doubt.

        A requested task is taken for a new one; if it is not, its append conflicts, and then it is in doubt.
        """
        wanted: dict[int, UUID] = {}
        for work in works:
            intent = work.intent
            if type(intent) is TaskIntent:
                task_id = intent.command.task_id
                kept = self.tasks.kept(task_id)
                if work.doubted or (kept is None and type(intent.command) is not RequestTask):
                    wanted[task_id.int] = task_id
                elif kept is not None:
                    draft.tasks[task_id.int] = kept
            elif type(intent) is RegisterIntent:
                await self.catalogue.refresh()
            elif type(intent) is AnnounceIntent:
                await self.catalogue.workers.refresh()
        if wanted:
            found = await asyncio.gather(*map(self.tasks.refreshed, wanted.values()))
            draft.fresh.update(wanted)
            draft.tasks.update({task.state.task_id.int: task for task in found if task is not None})

    def _prepare(self, draft: _Round, work: Work) -> None:
        intent = work.intent
        match intent:
            case TaskIntent():
                self._prepare_task(draft, work, intent)
            case RegisterIntent():
                self._prepare_registration(draft, work, intent)
            case AnnounceIntent():
                self._prepare_announcement(draft, work, intent)
            case NoteIntent(stream, category, event, cause, expected):
                record = e.Record(expected + 1, cause.metadata(draft.at_ms), (event,))
                self._add(draft, work, Append(stream, expected, category, e.encode_record(record)), record)

    def _prepare_task(self, draft: _Round, work: Work, intent: TaskIntent) -> None:
        command = intent.command
        task_id = command.task_id
        task = draft.tasks.get(task_id.int)
        if task is None:
            if not isinstance(command, RequestTask):
                problem = Problem(code="task.unknown", message=f"expected a task of this log, found {task_id}")
                work.answer(Outcome(task_id, rejection=Rejection((problem,), "missing")))
                return
            blank = TaskState.blank(task_id, command.plan)
            task = TaskInHand(blank, intent.cause.tenant, intent.cause.correlation_id or str(task_id))
        decision = decide(task.state, command)
        if decision.events:
            self._advance(draft, work, intent.cause, task, decision.events)
        elif task_id.int in draft.fresh:
            work.answer(Outcome(task_id, rejection=decision.rejection))
        else:
            work.doubted = True
            draft.postponed.append(work)

    def _advance(self, draft: _Round, work: Work, cause: Cause, task: TaskInHand, events: tuple[e.Event, ...]) -> None:
        """Add the record of these events, and take the task on to the state after it.

        The state is this round's alone until its records are in the log: whoever needs the task meanwhile reads the
        log, and if they do not get there, so does the next round.
        """
        state = task.state
        self.tasks.forget(state.task_id)
        draft.tasks[state.task_id.int] = task
        meta = cause.metadata(draft.at_ms, task.tenant, task.correlation_id)
        record = e.Record(state.events + 1, meta, events)
        append = Append(state.task_id, state.version, e.TASK, e.encode_record(record))
        for event in events:
            absorb(state, event)
        state.version += 1
        task.size += len(append.data)
        self._add(draft, work, append, record, task)

    def _prepare_registration(self, draft: _Round, work: Work, intent: RegisterIntent) -> None:
        if draft.has_registration:
            draft.postponed.append(work)
            return
        decision = self.catalogue.decide(intent.template)
        if not decision.events:
            work.answer(Outcome(e.CATALOGUE_STREAM, rejection=decision.rejection))
            return
        record = e.Record(self.catalogue.events + 1, intent.cause.metadata(draft.at_ms), decision.events)
        append = Append(e.CATALOGUE_STREAM, self.catalogue.version, e.CATALOGUE, e.encode_record(record))
        draft.has_registration = True
        self._add(draft, work, append, record)

    def _prepare_announcement(self, draft: _Round, work: Work, intent: AnnounceIntent) -> None:
        """Add what the worker serves, unless it said the same last."""
        announced = intent.announced
        stream = worker_stream(intent.cause.tenant, announced.worker)
        workers = self.catalogue.workers
        if workers.says_the_same(stream, announced.handlers):
            work.answer(Outcome(stream))
            return
        before = workers.find(stream)
        version = 0 if before is None else before.version
        event = e.WorkerAnnounced(worker=announced.worker, handlers=announced.handlers)
        record = e.Record(version + 1, intent.cause.metadata(draft.at_ms), (event,))
        self._add(draft, work, Append(stream, version, e.WORKER, e.encode_record(record)), record)

    def _add(self, draft: _Round, work: Work, append: Append, record: e.Record, task: TaskInHand | None = None) -> None:
        draft.prepared.append(_Prepared(work, append, record, task))

    async def _commit(self, draft: _Round) -> None:
        answers = await self._store.append([prepared.append for prepared in draft.prepared])
        committed: list[Committed] = []
        for prepared, answer in zip(draft.prepared, answers, strict=True):
            work, append, record, task = prepared
            if isinstance(answer, Appended):
                version = append.expected + 1
                if task is not None:
                    self.tasks.keep(task)
                elif append.category == e.CATALOGUE:
                    self.catalogue.absorb(version, record)
                size, state = len(append.data), None if task is None else task.state
                committed.append(
                    Committed(answer.position, append.stream, version, append.category, record, size, state)
                )
                work.answer(Outcome(append.stream, answer.position))
            elif type(work.intent) is NoteIntent:
                work.answer(Outcome(append.stream))
            else:
                self.tasks.forget(append.stream)
                self._again(draft, work)
        committed.sort(key=_position)
        for reader in self._readers:
            reader.offer(committed)

    def _again(self, draft: _Round, work: Work) -> None:
        work.tries += 1
        work.doubted = True
        if work.tries < _TRIES:
            draft.postponed.append(work)
        else:
            work.answer(
                StoreUnavailable(f"expected to append within {_TRIES} tries, but the stream moved on each time")
            )

    def _give_up(self, works: Sequence[Work], error: StoreUnavailable | Undecidable) -> None:
        for work in works:
            if isinstance(work.intent, TaskIntent):
                self.tasks.forget(work.intent.command.task_id)
            work.answer(error)


_position = attrgetter("position")
