"""Carries events to the bus: what the log says was sent is sent, at least once, under an id that the log gives.

The checkpoint moves only behind what the broker confirmed. After a crash the relay sends again what came after it;
every message has the id it had before, and the answers to a job sent twice are told apart by its attempt.

What this process has just committed is written at once, while its task's state is in hand; what was committed
elsewhere, or waited too long, is read back from the log and written then.

Where several share the log, each sends what is of its own slots, whoever committed it. There is a checkpoint for each
slot, and one below which all slots are done, kept by who has them all.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from uuid import UUID

import orjson

from stepbus.contracts.messages import StepError, StepRequested
from stepbus.orchestrator.core.commands import FailStep
from stepbus.orchestrator.core.route import SLOTS, Letter, Origin, letters_of, needs_state, slot_of
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.ports import Bus, EventStore, NotSent, Outgoing, StoredRecord, StoreUnavailable
from stepbus.orchestrator.runtime.coordinator import Coordinator
from stepbus.orchestrator.runtime.follow import Committed, Follower
from stepbus.orchestrator.runtime.intents import Cause, TaskIntent

_log = logging.getLogger(__name__)

READER = "relay"
_CHECKPOINT_EVERY_S = 1.0
_BATCH = 500
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_ACTOR = Cause(actor="coordinator/relay", causation_id="relay")


def reader_of(slot: int) -> str:
    """Give the name under which the checkpoint of a slot is kept."""
    return f"{READER}/{slot}"


class Relay:
    """Publishes what the log says, in order, and remembers how far it has come."""

    def __init__(
        self, store: EventStore, bus: Bus, coordinator: Coordinator, origin: Origin, follower: Follower
    ) -> None:
        self._store = store
        self._bus = bus
        self._coordinator = coordinator
        self._origin = origin
        self._saved_at = 0.0
        self._sent: dict[int, int] = {}
        self._taken: dict[int, int] = {}
        self._leaving: list[tuple[Sequence[int], asyncio.Future[None]]] = []
        self._changed = asyncio.Event()
        self._all_from = 0
        self.demand: Callable[[], object] = lambda: True
        self.follower = follower
        self.follower.wants = self._wants
        self.confirmed = follower.position
        self.is_blocked = False

    async def positions(self, slots: Sequence[int]) -> Mapping[int, int]:
        """Give how far these slots have been sent, by whomever.

        Raises:
            StoreUnavailable: it is not known now.
        """
        readers = [READER, *map(reader_of, slots)]
        done, *each = await asyncio.gather(*map(self._store.checkpoint, readers))
        return {slot: max(done, position) for slot, position in zip(slots, each, strict=True)}

    def take(self, positions: Mapping[int, int]) -> None:
        """Send from now on what is of these slots, and comes after these positions."""
        self._taken.update(positions)
        self._changed.set()

    def drop(self, slots: Sequence[int]) -> None:
        """Send nothing more of these slots: another does. Of what is being sent the rest is."""
        for slot in slots:
            self._sent.pop(slot, None)
            self._taken.pop(slot, None)

    async def give_up(self, slots: Sequence[int]) -> None:
        """Send nothing more of these slots; on return another can go on from their checkpoints."""
        done = asyncio.get_running_loop().create_future()
        self._leaving.append((slots, done))
        self._changed.set()
        await done

    def unsent(self, head: int) -> int:
        """Give how many records, up to this position of the log, may hold what is still to be sent here."""
        return max(0, head - self.confirmed) if self._sent or self._taken else 0

    def offer(self, committed: Sequence[Committed]) -> None:
        """Write the letters of what was just committed here."""
        has_all = len(self._sent) == SLOTS
        for one in committed:
            if not has_all and slot_of(one.stream) not in self._sent:
                one.state = None  # another's to send, unless the slot comes here meanwhile
            elif one.state is not None or not any(map(needs_state, one.record.events)):
                one.letters = letters_of(self._origin, one.position, one.record, one.stream, one.state)
                one.state = None
        self.follower.offer(committed)

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            if self._changed.is_set():
                await self._change()
            self.demand()
            if not self._sent:
                await self._changed.wait()
                continue
            batch = await self.follower.next()
            if batch:
                await self._publish(batch)
            del batch  # it can hold megabytes, and the next may be long in coming
            self.follower.advance()
            if self.follower.position > self.confirmed:
                self.confirmed = self.follower.position
                if monotonic() - self._saved_at > _CHECKPOINT_EVERY_S:
                    await self.save()

    async def save(self) -> None:
        """Keep how far the relay has come."""
        if len(self._sent) == SLOTS:
            await self._store.save_checkpoint(READER, min(self._position(slot) for slot in self._sent))
        else:
            await self._save(list(self._sent))
        self._saved_at = monotonic()

    async def _save(self, slots: Sequence[int]) -> None:
        saving = [(reader_of(slot), self._position(slot)) for slot in slots if slot in self._sent]
        await asyncio.gather(*(self._store.save_checkpoint(reader, position) for reader, position in saving))

    def _position(self, slot: int) -> int:
        """Give how far a slot has been sent; what is read again for others of it was sent before."""
        return max(self._sent[slot], self.confirmed)

    async def _change(self) -> None:
        """Begin with slots that were taken, and end with those that are given up: between two batches."""
        self._changed.clear()
        if self._taken:
            taken, self._taken = self._taken, {}
            for slot in self._sent:
                self._sent[slot] = self._position(slot)
            if not self._sent:
                self.follower.skip(min(taken.values()))
            self.follower.rewind(min(taken.values()))
            self._sent |= taken
            self._all_from = max(self._sent.values())
            self.confirmed = self.follower.position
        leaving, self._leaving = self._leaving, []
        for slots, done in leaving:
            with suppress(StoreUnavailable):  # then whoever goes on sends a little of it again
                await self._save(slots)
            self.drop(slots)
            if not done.done():
                done.set_result(None)

    def _wants(self, stored: StoredRecord) -> bool:
        return self._is_due(stored.stream, stored.position)

    def _is_due(self, stream: UUID, position: int) -> bool:
        """Say whether a record of the log is to be sent here."""
        after = self._sent.get(slot_of(stream))
        return after is not None and position > after

    async def _publish(self, batch: Sequence[Committed]) -> None:
        letters: list[Letter] = []
        if len(self._sent) < SLOTS or batch[0].position <= self._all_from:
            batch = [one for one in batch if self._is_due(one.stream, one.position)]
        unwritten = [committed for committed in batch if committed.letters is None]
        written = await asyncio.gather(*map(self._letters, unwritten))
        for committed, found in zip(unwritten, written, strict=True):
            committed.letters = found
        for committed in batch:
            letters.extend(committed.letters or ())
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
