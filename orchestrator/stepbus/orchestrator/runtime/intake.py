"""From the bus into rounds: every message is decided, put into quarantine, or handed back. Acked is what the log has.

```
receive ─▶ read (envelope, message, token) ─▶ intents ─▶ round ─▶ ack
                 └ refused ─▶ quarantine ┘       ├ rejected ─▶ note or quarantine ─▶ round ─▶ ack
                                                 └ the store is away ─▶ nack, later
```

The messages of one batch are asked together, so that one round can decide them and one wake-up tells of it.
"""

import asyncio
import hmac
import logging
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple
from uuid import uuid5

from stepbus.contracts import events as e
from stepbus.contracts import messages
from stepbus.contracts.envelope import CloudEvent
from stepbus.contracts.problems import MAX_PROBLEMS, Problem, Refused, refuse
from stepbus.contracts.schema import schema_problems
from stepbus.orchestrator.core import commands as c
from stepbus.orchestrator.core.decide import Rejection
from stepbus.orchestrator.core.route import Origin
from stepbus.orchestrator.ports import Bus, Delivery, StoreUnavailable, Subscription
from stepbus.orchestrator.runtime.asked import Answer, Undecidable
from stepbus.orchestrator.runtime.coordinator import Coordinator
from stepbus.orchestrator.runtime.intents import AnnounceIntent, Cause, NoteIntent, Outcome, TaskIntent, ignored
from stepbus.orchestrator.runtime.requests import requested

_log = logging.getLogger(__name__)

_RECEIVE_S = 0.2
_HAND_BACK_S = 1.0
_BATCHES_UNDER_WAY = 8

_Intent = TaskIntent | AnnounceIntent | NoteIntent


class _Told(NamedTuple):
    """A message, and what it asks of the rounds; one that could not be read asks to be kept in quarantine.

    `request` is what a client asked for. It asks for nothing if whether it can be met is not known now.
    """

    delivery: Delivery
    intent: _Intent | StoreUnavailable
    request: messages.TaskRequested | None = None


class _Request(NamedTuple):
    """A request whose template is still to be found."""

    delivery: Delivery
    message: messages.TaskRequested
    cause: Cause


class Intake:
    """Applies the messages of the `tasks` and `results` channels."""

    def __init__(self, bus: Bus, coordinator: Coordinator, origin: Origin, batch_limit: int) -> None:
        self._bus = bus
        self._coordinator = coordinator
        self.origin = origin
        self._limit = batch_limit
        self._stopping = False

    async def run(self, channels: Sequence[str] = ("tasks", "results.*"), ends: asyncio.Event | None = None) -> None:
        """Take in the messages of these channels until `stop` or `ends`, or for ever."""
        ends = ends or asyncio.Event()
        subscriptions = [await self._bus.subscribe(channel) for channel in channels]
        try:
            async with asyncio.TaskGroup() as group:
                for subscription in subscriptions:
                    group.create_task(self._take_in(subscription, ends))
        finally:
            for subscription in subscriptions:
                await subscription.close()

    def stop(self) -> None:
        """Begin no more; `run` returns when what is in hand has been decided and acked."""
        self._stopping = True

    async def apply(self, delivery: Delivery) -> Outcome:
        """Decide one message, or put it into quarantine; what is answered is in the log.

        Raises:
            StoreUnavailable: nothing is known to be stored; hand the message back.
            Undecidable: it could not even be kept; nothing was stored.
        """
        (answer,) = await self._apply_all((delivery,))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _apply_all(self, deliveries: Sequence[Delivery]) -> list[Answer]:
        now_ms = self._coordinator.clock.now_ms()
        read = [self._read(delivery, now_ms) for delivery in deliveries]
        told = [await self._requested(one, now_ms) if isinstance(one, _Request) else one for one in read]
        answers = await self._answers([one.intent for one in told])
        notes = {
            place: note
            for place, answer in enumerate(answers)
            if (type(answer) is not Outcome or answer.rejection) and (note := _note(told[place], answer))
        }
        if notes:
            for place, answer in zip(notes, await self._answers(list(notes.values())), strict=True):
                answers[place] = answer
        return answers

    async def _answers(self, intents: Sequence[_Intent | StoreUnavailable]) -> list[Answer]:
        """Have what is asked decided; what can't be asked now is its own answer."""
        asked = [intent for intent in intents if not isinstance(intent, StoreUnavailable)]
        answered = await self._coordinator.submit_all(asked)
        if len(asked) == len(intents):
            return answered
        rest = iter(answered)
        return [intent if isinstance(intent, StoreUnavailable) else next(rest) for intent in intents]

    async def _take_in(self, subscription: Subscription, ends: asyncio.Event) -> None:
        free = asyncio.Semaphore(_BATCHES_UNDER_WAY)
        async with asyncio.TaskGroup() as group:
            while not (self._stopping or ends.is_set()):
                await free.acquire()
                deliveries = await subscription.receive(self._limit, _RECEIVE_S)
                if deliveries:
                    group.create_task(self._settle(subscription, deliveries, free.release))
                else:
                    free.release()

    async def _settle(
        self, subscription: Subscription, deliveries: Sequence[Delivery], done: Callable[[], None]
    ) -> None:
        """Ack what is in the log, and hand back the rest."""
        try:
            applied: list[Delivery] = []
            for delivery, answer in zip(deliveries, await self._apply_all(deliveries), strict=True):
                if isinstance(answer, Outcome):
                    applied.append(delivery)
                else:
                    _log.warning("a message of %s goes back: %s", delivery.channel, answer)
                    await subscription.nack(delivery, _HAND_BACK_S)
            await subscription.ack(applied)
        finally:
            done()

    def _read(self, delivery: Delivery, now_ms: int) -> _Told | _Request:
        try:
            event, message = messages.read_body(delivery.body, delivery.headers)
            if isinstance(message, messages.TaskRequested) and delivery.channel == "tasks":
                return _Request(delivery, message, _cause(event, f"client{event.source}"))
            return _Told(delivery, self._intent(delivery, event, message, now_ms))
        except Refused as refusal:
            return _Told(delivery, _quarantine(delivery, refusal.problems))
        except Exception as error:  # noqa: BLE001 - our fault, not the message's: it must be kept, and must not loop
            return _failed(delivery, error)

    def _intent(self, delivery: Delivery, event: CloudEvent, message: messages.Message, now_ms: int) -> _Intent:
        kind = delivery.channel.partition(".")[0]
        if isinstance(message, messages.Answer) and kind == "results":
            return self._answered(event, message, now_ms)
        match kind, message:
            case "tasks", messages.TaskCancelRequested():
                command = c.CancelTask(message.task_id, message.reason, now_ms)
                return TaskIntent(command, _cause(event, f"client{event.source}"))
            case "tasks", messages.WorkerAnnounced():
                return _announced(message, _cause(event, f"worker/{message.worker}"))
            case "results", messages.QuarantineEntry():
                return _handed_over(message)
        raise refuse("message.wrong_channel", f"expected no {event.type} on {delivery.channel}", "/type")

    def _answered(self, event: CloudEvent, answer: messages.Answer, now_ms: int) -> TaskIntent:
        expected = self.origin.token(answer.task_id, answer.step, answer.attempt)
        if not hmac.compare_digest(expected.encode(), answer.token.encode()):
            raise refuse("result.token", "expected the token of this attempt's job, found another", "/data/token")
        return TaskIntent(_answer_command(answer, now_ms), _cause(event, f"worker/{answer.worker or event.source}"))

    async def _requested(self, request: _Request, now_ms: int) -> _Told:
        delivery, message, cause = request
        try:
            found = await requested(message, cause, now_ms, self._coordinator.catalogue, self._reply_is_allowed)
        except StoreUnavailable as error:
            return _Told(delivery, error)
        except Exception as error:  # noqa: BLE001 - as for what can't be read
            return _failed(delivery, error)
        if isinstance(found, Rejection):
            problems = [problem.under("/data") for problem in found.problems]
            replyto = message.replyto if found.kind == "missing" else None
            return _Told(delivery, _quarantine(delivery, problems, cause.causation_id, replyto))
        return _Told(delivery, TaskIntent(found, cause), message)

    def _reply_is_allowed(self, address: str) -> bool:
        return self._bus.reply_channel(address) is not None


def _note(told: _Told, answer: Answer) -> NoteIntent | None:
    """Give what is to be kept of a message that was not taken; None if it was kept, or is to go back."""
    if not isinstance(told.intent, TaskIntent | AnnounceIntent):
        return None
    if isinstance(answer, Undecidable):
        return _quarantine(told.delivery, (_internal(answer),))
    if isinstance(answer, StoreUnavailable) or answer.rejection is None:
        return None
    return _refused(told, told.intent.cause, answer.rejection)


def _refused(told: _Told, cause: Cause, rejection: Rejection) -> NoteIntent:
    """Give the note of an answer that changes nothing; what is of nothing we know, or asked for, is kept whole."""
    delivery, _, request = told
    if delivery.channel == "tasks":
        problems = [problem.under("/data") for problem in rejection.problems]
        if request is None:
            return _quarantine(delivery, problems)
        return _quarantine(delivery, problems, cause.causation_id, request.replyto)
    if rejection.kind == "missing":
        return _quarantine(delivery, rejection.problems)
    _, answer = messages.read_body(delivery.body, delivery.headers)
    assert isinstance(answer, messages.Answer)  # noqa: S101 - it was one when it was decided
    first = rejection.problems[0]
    note = e.AnswerIgnored(
        task_id=answer.task_id,
        step=answer.step,
        attempt=answer.attempt,
        code=first.code,
        reason=first.message,
        answer_type=answer.TYPE,
        worker=answer.worker,
    )
    return ignored(answer.task_id, note, _fingerprint(delivery.body), cause)


def _quarantine(
    delivery: Delivery, problems: Sequence[Problem], request_id: str | None = None, replyto: str | None = None
) -> NoteIntent:
    """Keep the message whole, with all that is wrong with it. The same message again is the same entry."""
    stream = uuid5(e.STREAMS, f"quarantine/{delivery.channel}/{_fingerprint(delivery.body)}")
    entry = e.MessageQuarantined(
        channel=delivery.channel,
        body=b64encode(delivery.body).decode(),
        headers=dict(delivery.headers),
        problems=tuple(problems),
        request_id=request_id,
        replyto=replyto,
    )
    _log.warning("a message of %s is in quarantine as %s: %s", delivery.channel, stream, problems[0].code)
    return NoteIntent(stream, e.QUARANTINE, entry, Cause("coordinator", f"quarantine/{stream}"))


def _handed_over(entry: messages.QuarantineEntry) -> NoteIntent:
    """Keep what a worker found to be no job: as if it had been refused here, with the worker's reason."""
    try:
        body = b64decode(entry.body, validate=True)
        problem = Problem(code=entry.code, message=entry.reason, pointer=entry.pointer)
    except ValueError as error:
        raise refuse("message.invalid", f"expected base64 and a code, but {error}", "/data") from error
    return _quarantine(Delivery(entry.channel, body, {}, 1), (problem,))


def _announced(announced: messages.WorkerAnnounced, cause: Cause) -> AnnounceIntent:
    """Give what a worker says that it serves.

    Raises:
        Refused: a schema in it can't be used.
    """
    problems = [
        problem
        for number, served in enumerate(announced.handlers)
        for name in ("input_schema", "result_schema", "error_schema")
        if (schema := getattr(served, name)) is not None
        for problem in schema_problems(schema, f"/data/handlers/{number}/{name}")
    ]
    if problems:
        raise Refused(problems[:MAX_PROBLEMS])
    return AnnounceIntent(announced, cause)


def _failed(delivery: Delivery, error: Exception) -> _Told:
    _log.exception("a message of %s could not be applied", delivery.channel, exc_info=error)
    return _Told(delivery, _quarantine(delivery, (_internal(error),)))


def _internal(error: Exception) -> Problem:
    return Problem(code="internal.error", message=f"expected to apply the message, but {error!r}")


def _answer_command(answer: messages.Answer, at_ms: int) -> c.Answer:
    match answer:
        case messages.StepCompleted():
            return c.CompleteStep(answer.task_id, answer.step, answer.attempt, answer.result, at_ms)
        case messages.StepFailed():
            return c.FailStep(answer.task_id, answer.step, answer.attempt, answer.error, at_ms)
        case messages.StepHeartbeat():
            return c.RecordHeartbeat(answer.task_id, answer.step, answer.attempt, answer.progress, at_ms)
    msg = f"expected an answer that is listed in messages.ANSWERS, found {type(answer).__name__}"
    raise TypeError(msg)


def _cause(event: CloudEvent, actor: str) -> Cause:
    return Cause(actor, _request_id(event), event.correlationid or "", event.tenant)


def _request_id(event: CloudEvent) -> str:
    """Give the name that a message has among those of all sources."""
    return f"{event.source}/{event.id}"


def _fingerprint(body: bytes) -> str:
    return sha256(body).hexdigest()
