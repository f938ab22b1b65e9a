"""Carries events to the bus: what the log says was sent is sent, at least once, under an id that the log gives.

The checkpoint moves only behind what the broker confirmed. After a crash the relay sends again what came after it;
every message has the id it had before, and the answers to a job sent twice are told apart by its attempt.

What this process has just committed is written at once, while its task's state is in hand; what was committed
elsewhere, or waited too long, is read back from the log and written then.
"""

import asyncio
import logging
from collections.abc import Sequence
from time import monotonic

import orjson

from stepbus.contracts.messages import StepError, StepRequested
from stepbus.orchestrator.core.commands import FailStep
from stepbus.orchestrator.core.route import Letter, Origin, letters_of, needs_state
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.ports import Bus, EventStore, NotSent, Outgoing
from stepbus.orchestrator.runtime.coordinator import Coordinator
from stepbus.orchestrator.runtime.follow import Committed, Follower
from stepbus.orchestrator.runtime.intents import Cause, TaskIntent

_log = logging.getLogger(__name__)

READER = "relay"
_CHECKPOINT_EVERY_S = 1.0
_BATCH = 500
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_ACTOR = Cause(actor="coordinator/relay", causation_id="relay")


class Relay:
    """Publishes what the log says, in order, and remembers how far it has come."""

    def __init__(
        self, store: EventStore, bus: Bus, coordinator: Coordinator, origin: Origin, follower: Follower
    ) -> None:
        self._store = store
        self._bus = bus
        self._coordinator = coordinator
        self._origin = origin
        self.follower = follower
        self._saved_at = 0.0
        self.confirmed = follower.position
        self.is_blocked = False

    def offer(self, committed: Sequence[Committed]) -> None:
        """Write the letters of what was just committed here."""
        for one in committed:
            if one.state is not None or not any(map(needs_state, one.record.events)):
                one.letters = letters_of(self._origin, one.position, one.record, one.stream, one.state)
                one.state = None
        self.follower.offer(committed)

    async def run(self) -> None:
        """Publish for ever."""
        async for batch in self.follower.batches():
            await self._publish(batch)
            self.confirmed = batch[-1].position
            del batch  # it can hold megabytes, and the next may be long in coming
            if monotonic() - self._saved_at > _CHECKPOINT_EVERY_S:
                await self.save()

    async def save(self) -> None:
        """Keep how far the relay has come."""
        await self._store.save_checkpoint(READER, self.confirmed)
        self._saved_at = monotonic()

    async def _publish(self, batch: Sequence[Committed]) -> None:
        letters: list[Letter] = []
        for committed in batch:
            written = committed.letters
            letters.extend(await self._letters(committed) if written is None else written)
            if len(letters) >= _BATCH:
                await self._send(letters)
                letters = []
        if letters:
            await self._send(letters)

    async def _letters(self, committed: Committed) -> Sequence[Letter]:
        needs = any(map(needs_state, committed.record.events))
        state = await self._state(committed) if needs else None
        return letters_of(self._origin, committed.position, committed.record, committed.stream, state)

    async def _state(self, committed: Committed) -> TaskState:
        task = await self._coordinator.tasks.load(committed.stream)
        if task is None or task.state.version < committed.version:
            task = await self._coordinator.tasks.refreshed(committed.stream)
        if task is None:
            msg = f"expected task {committed.stream} to be in the log at position {committed.position}"
            raise LookupError(msg)
        return task.state

    async def _send(self, letters: Sequence[Letter]) -> None:
        """Publish all of these, again and again until each is confirmed or can never be."""
        pause = _FIRST_PAUSE_S
        left = [(letter, self._outgoing(letter)) for letter in letters]
        while left:
            answers = await self._bus.publish([outgoing for _, outgoing in left])
            failed = [(pair, answer) for pair, answer in zip(left, answers, strict=True) if isinstance(answer, NotSent)]
            left = [pair for pair, answer in failed if not answer.permanent]
            for (letter, _), answer in failed:
                if answer.permanent:
                    await self._undeliverable(letter, answer.reason)
            self.is_blocked = bool(left)
            if left:
                _log.warning("the bus did not confirm %d messages: %s; trying again", len(left), failed[0][1].reason)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _outgoing(self, letter: Letter) -> Outgoing:
        channel = letter.channel if letter.replyto is None else self._bus.reply_channel(letter.replyto)
        return Outgoing(channel or "", letter.id, letter.body, letter.key)

    async def _undeliverable(self, letter: Letter, reason: str) -> None:
        """Fail the step of a job that no broker will ever take; others are only logged: the log has their event."""
        _log.error("message %s to %s can't be delivered: %s", letter.id, letter.channel or letter.replyto, reason)
        if letter.channel.startswith("jobs."):
            await self._coordinator.submit(TaskIntent(self._failure(letter, reason), _ACTOR))

    def _failure(self, letter: Letter, reason: str) -> FailStep:
        job = StepRequested.model_validate(orjson.loads(letter.body)["data"])
        error = StepError(code="job.undeliverable", message=reason[:4096], retryable=False)
        return FailStep(job.task_id, job.step, job.attempt, error, self._coordinator.clock.now_ms())
