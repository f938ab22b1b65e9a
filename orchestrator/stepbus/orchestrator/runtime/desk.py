"""What a person or a program asks for at the edge, decided in the same rounds as what comes from the bus."""

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.contracts import messages
from stepbus.contracts.problems import Problem, Refused
from stepbus.orchestrator.core import commands as c
from stepbus.orchestrator.core.decide import Rejection
from stepbus.orchestrator.ports import Delivery, Denied, Done, EventStore, LiveState
from stepbus.orchestrator.runtime.activation import Activation
from stepbus.orchestrator.runtime.coordinator import Coordinator
from stepbus.orchestrator.runtime.intake import Intake
from stepbus.orchestrator.runtime.intents import Cause, NoteIntent, Outcome, RegisterIntent, TaskIntent
from stepbus.orchestrator.runtime.load import Load
from stepbus.orchestrator.runtime.requests import requested


class Desk:
    """The `Operations` port."""

    def __init__(
        self,
        store: EventStore,
        coordinator: Coordinator,
        intake: Intake,
        load: Load,
        reply_is_allowed: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._coordinator = coordinator
        self._intake = intake
        self._load = load
        self._reply_is_allowed = reply_is_allowed
        self._activation = Activation(store, coordinator.catalogue)
        self.health_of: Callable[[], Mapping[str, Any]] = lambda: {"ready": False, "parts": {}}

    async def submit(self, request: messages.TaskRequested, request_id: str, actor: str) -> Done | Denied:
        """Accept a task, or say all that is wrong with the request; or that too much waits already."""
        excess = self._load.excess()
        if excess is not None:
            return Denied(excess.problems, excess.kind)
        cause = Cause(actor, request_id)
        found = await requested(request, cause, self._now_ms(), self._coordinator.catalogue, self._reply_is_allowed)
        if isinstance(found, Rejection):
            return Denied(found.problems, found.kind)
        return await self._decide(found, cause)

    async def cancel(self, task_id: UUID, reason: str, actor: str) -> Done | Denied:
        """Stop a task."""
        return await self._decide(c.CancelTask(task_id, reason, self._now_ms()), Cause(actor, "cancel"))

    async def retry(self, task_id: UUID, step: str, reason: str, actor: str) -> Done | Denied:
        """Give a step another attempt, now."""
        return await self._decide(c.RetryStep(task_id, step, reason, self._now_ms()), Cause(actor, "retry"))

    async def resolve_step(self, task_id: UUID, step: str, result: Any, reason: str, actor: str) -> Done | Denied:
        """Declare a step done."""
        return await self._decide(c.ResolveStep(task_id, step, result, reason, self._now_ms()), Cause(actor, "resolve"))

    async def resolve_task(self, task_id: UUID, reason: str, actor: str) -> Done | Denied:
        """Declare a task done."""
        return await self._decide(c.ResolveTask(task_id, reason, self._now_ms()), Cause(actor, "resolve"))

    async def register(self, template: Mapping[str, Any], actor: str, *, force: bool = False) -> Done | Denied:
        """Register a template, or say all that is wrong with it, and what speaks against it unless it is forced."""
        try:
            checked = self._coordinator.catalogue.read(template)
        except Refused as refusal:
            return Denied(refusal.problems)
        problems = [] if force else await self._activation.problems(checked)
        if problems:
            return Denied(problems, "conflict")
        return _answer(await self._coordinator.submit(RegisterIntent(checked, Cause(actor, "register"))))

    async def workers(self) -> Sequence[messages.WorkerAnnounced]:
        """Give what each worker said last that it serves."""
        workers = self._coordinator.catalogue.workers
        await workers.refresh()
        return [
            messages.WorkerAnnounced(worker=each.worker, handlers=each.handlers)
            for each in sorted(workers.all.values(), key=lambda each: each.worker)
            if each.handlers
        ]

    async def resubmit(self, message_id: UUID, actor: str) -> Done | Denied:
        """Send a quarantined message through again; what is wrong with it now is the answer."""
        entry = await self._quarantined(message_id)
        if entry is None:
            message = f"expected a message in quarantine, found {message_id}"
            return Denied((Problem(code="quarantine.unknown", message=message),), "missing")
        quarantined, version = entry
        delivery = Delivery(quarantined.channel, b64decode(quarantined.body), quarantined.headers, 1)
        outcome = await self._intake.apply(delivery)
        if outcome.id == message_id:
            return Denied(quarantined.problems, "conflict")
        note = NoteIntent(message_id, e.QUARANTINE, e.MessageResubmitted(), Cause(actor, "resubmit"), expected=version)
        await self._coordinator.submit(note)
        return _answer(outcome)

    async def live_state(self, task_id: UUID) -> LiveState | None:
        """Give where a task stands in memory."""
        task = await self._coordinator.tasks.refreshed(task_id)
        return None if task is None else LiveState(task.state.version, task.state.events, task.state.digest())

    async def health(self) -> Mapping[str, Any]:
        """Say how each part is."""
        return self.health_of()

    async def _quarantined(self, message_id: UUID) -> tuple[e.MessageQuarantined, int] | None:
        stored = await self._store.read_stream(message_id)
        events = [event for entry in stored for event in e.decode_record(entry.data).events]
        if not events or not isinstance(events[0], e.MessageQuarantined):
            return None
        return events[0], len(stored)

    async def _decide(self, command: c.Command, cause: Cause) -> Done | Denied:
        return _answer(await self._coordinator.submit(TaskIntent(command, cause)))

    def _now_ms(self) -> int:
        return self._coordinator.clock.now_ms()


def _answer(outcome: Outcome) -> Done | Denied:
    rejection: Rejection | None = outcome.rejection
    if rejection is not None:
        return Denied(rejection.problems, rejection.kind)
    return Done(outcome.id, outcome.position, repeated=outcome.position == 0)
