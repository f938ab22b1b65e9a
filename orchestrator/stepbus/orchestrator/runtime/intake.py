"""From the bus into rounds: every message is decided, put into quarantine, or handed back. Acked is what the log has.

```
receive ─▶ read (envelope, message, token) ─▶ intent ─▶ round ─▶ ack
                 └ refused ─▶ quarantine ─▶ ack          └ the store is away ─▶ nack, later
```
"""

import asyncio
import hmac
import logging
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID, uuid5

from stepbus.contracts import envelope, messages
from stepbus.contracts import events as e
from stepbus.contracts.envelope import CloudEvent
from stepbus.contracts.problems import Problem, Refused, refuse
from stepbus.orchestrator.core import commands as c
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.core.route import Origin
from stepbus.orchestrator.ports import Bus, Delivery, StoreUnavailable, Subscription
from stepbus.orchestrator.runtime.coordinator import Coordinator
from stepbus.orchestrator.runtime.intents import Cause, NoteIntent, Outcome, TaskIntent, ignored

_log = logging.getLogger(__name__)

_RECEIVE_S = 0.2
_HAND_BACK_S = 1.0
_BATCHES_UNDER_WAY = 8


def task_id_of(request: messages.TaskRequested, tenant: str, request_id: str) -> UUID:
    """Give the id of the task that a request makes: the same for every repeat of the request."""
    if request.task_id is not None:
        return request.task_id
    if request.idempotency_key is not None:
        return uuid5(e.STREAMS, f"{tenant}/key/{request.idempotency_key}")
    return uuid5(e.STREAMS, f"{tenant}/request/{request_id}")


@dataclass(frozen=True, slots=True)
class _Submitted:
    """An answer that waits for its round."""

    answer: messages.Answer
    cause: Cause
    decided: "asyncio.Future[Outcome]"


_Begun = Exception | _Submitted | asyncio.Future[Outcome]


class Intake:
    """Applies the messages of the `tasks` and `results` channels."""

    def __init__(self, bus: Bus, coordinator: Coordinator, origin: Origin, batch_limit: int) -> None:
        self._bus = bus
        self._coordinator = coordinator
        self.origin = origin
        self._limit = batch_limit
        self._stopping = False

    async def run(self) -> None:
        """Take in messages until `stop`, or for ever."""
        subscriptions = [await self._bus.subscribe("tasks"), await self._bus.subscribe("results.*")]
        try:
            async with asyncio.TaskGroup() as group:
                for subscription in subscriptions:
                    group.create_task(self._take_in(subscription))
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
        """
        return await self._kept(delivery, self._begin(delivery))

    def _begin(self, delivery: Delivery) -> _Begun:
        """Read the message and have what it says decided."""
        try:
            event = envelope.read(delivery.body, delivery.headers)
            message = messages.read(event)
            if isinstance(message, messages.Answer) and delivery.channel.startswith("results."):
                cause = _cause(event, f"worker/{message.worker or event.source}")
                return _Submitted(message, cause, self._submit(message, cause))
        except Exception as error:  # noqa: BLE001 - raised again where the message is at hand to be kept
            return error
        return asyncio.ensure_future(self._apply(event, message, delivery))

    async def _kept(self, delivery: Delivery, begun: _Begun) -> Outcome:
        """Await what was begun; a message that fails is kept in quarantine, unless the store is away."""
        try:
            match begun:
                case Exception():
                    raise begun  # noqa: TRY301 - caught below like what is raised while awaiting
                case _Submitted():
                    return await self._heard(begun, delivery)
                case _:
                    return await begun
        except Refused as refusal:
            return await self._quarantine(delivery, refusal.problems)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - our fault, not the message's: it must be kept, and must not loop
            _log.exception("a message of %s could not be applied", delivery.channel)
            problem = Problem(code="internal.error", message=f"expected to apply the message, but {error!r}")
            return await self._quarantine(delivery, (problem,))

    async def _take_in(self, subscription: Subscription) -> None:
        free = asyncio.Semaphore(_BATCHES_UNDER_WAY)
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                await free.acquire()
                deliveries = await subscription.receive(self._limit, _RECEIVE_S)
                if deliveries:
                    group.create_task(self._settle(subscription, deliveries, free.release))
                else:
                    free.release()

    async def _settle(
        self, subscription: Subscription, deliveries: Sequence[Delivery], done: Callable[[], None]
    ) -> None:
        """Begin all, so that one round can decide them; then await each, and ack what is in the log."""
        begun = [self._begin(delivery) for delivery in deliveries]
        try:
            applied: list[Delivery] = []
            for delivery, beginning in zip(deliveries, begun, strict=True):
                try:
                    await self._kept(delivery, beginning)
                except StoreUnavailable as error:
                    _log.warning("a message of %s goes back: %s", delivery.channel, error)
                    await subscription.nack(delivery, _HAND_BACK_S)
                else:
                    applied.append(delivery)
            await subscription.ack(applied)
        finally:
            for beginning in begun:
                if isinstance(beginning, asyncio.Future):
                    beginning.cancel()
            done()

    async def _apply(self, event: CloudEvent, message: messages.Message, delivery: Delivery) -> Outcome:
        match delivery.channel.partition(".")[0], message:
            case "tasks", messages.TaskRequested():
                return await self._requested(event, message, delivery)
            case "tasks", messages.TaskCancelRequested():
                return await self._cancel_requested(event, message, delivery)
            case "results", messages.QuarantineEntry():
                return await self._handed_over(message)
        raise refuse("message.wrong_channel", f"expected no {event.type} on {delivery.channel}", "/type")

    async def _requested(self, event: CloudEvent, request: messages.TaskRequested, delivery: Delivery) -> Outcome:
        if request.replyto is not None and self._bus.reply_channel(request.replyto) is None:
            message = f"expected an address that a reply may go to, found {request.replyto!r}"
            return await self._reject(
                delivery, event, None, (Problem(code="task.replyto", message=message, pointer="/data/replyto"),)
            )
        plan = await self._coordinator.catalogue.find(request.namespace, request.template, request.version)
        if not isinstance(plan, Plan):
            return await self._reject(delivery, event, request.replyto, (plan,))
        request_id = f"{event.source}/{event.id}"
        command = c.RequestTask(
            task_id=task_id_of(request, event.tenant, request_id),
            plan=plan,
            context=request.context,
            request_id=request_id,
            at_ms=self._coordinator.clock.now_ms(),
            timeout_ms=request.timeout_ms,
            bypass_steps=request.bypass_steps,
            replyto=request.replyto,
        )
        outcome = await self._coordinator.submit(TaskIntent(command, _cause(event, f"client{event.source}")))
        if outcome.rejection is not None:
            return await self._reject(delivery, event, request.replyto, _under_data(outcome.rejection.problems))
        return outcome

    async def _cancel_requested(
        self, event: CloudEvent, request: messages.TaskCancelRequested, delivery: Delivery
    ) -> Outcome:
        command = c.CancelTask(request.task_id, request.reason, self._coordinator.clock.now_ms())
        outcome = await self._coordinator.submit(TaskIntent(command, _cause(event, f"client{event.source}")))
        if outcome.rejection is not None:
            return await self._quarantine(delivery, _under_data(outcome.rejection.problems))
        return outcome

    async def _handed_over(self, entry: messages.QuarantineEntry) -> Outcome:
        """Keep what a worker found to be no job: as if it had been refused here, with the worker's reason."""
        try:
            body = b64decode(entry.body, validate=True)
            problem = Problem(code=entry.code, message=entry.reason, pointer=entry.pointer)
        except ValueError as error:
            raise refuse("message.invalid", f"expected base64 and a code, but {error}", "/data") from error
        return await self._quarantine(Delivery(entry.channel, body, {}, 1), (problem,))

    def _submit(self, answer: messages.Answer, cause: Cause) -> "asyncio.Future[Outcome]":
        expected = self.origin.token(answer.task_id, answer.step, answer.attempt)
        if not hmac.compare_digest(expected.encode(), answer.token.encode()):
            raise refuse("result.token", "expected the token of this attempt's job, found another", "/data/token")
        command = _answer_command(answer, self._coordinator.clock.now_ms())
        return self._coordinator.submit(TaskIntent(command, cause))

    async def _heard(self, submitted: _Submitted, delivery: Delivery) -> Outcome:
        """Await the decision; an answer that changes nothing is noted, one of nothing we know is kept in quarantine."""
        answer = submitted.answer
        outcome = await submitted.decided
        if outcome.rejection is None:
            return outcome
        if outcome.rejection.kind == "missing":
            return await self._quarantine(delivery, outcome.rejection.problems)
        first = outcome.rejection.problems[0]
        note = e.AnswerIgnored(
            task_id=answer.task_id,
            step=answer.step,
            attempt=answer.attempt,
            code=first.code,
            reason=first.message,
            answer_type=answer.TYPE,
            worker=answer.worker,
        )
        return await self._coordinator.submit(
            ignored(answer.task_id, note, _fingerprint(delivery.body), submitted.cause)
        )

    async def _reject(
        self, delivery: Delivery, event: CloudEvent, replyto: str | None, problems: Sequence[Problem]
    ) -> Outcome:
        return await self._quarantine(delivery, problems, f"{event.source}/{event.id}", replyto)

    async def _quarantine(
        self,
        delivery: Delivery,
        problems: Sequence[Problem],
        request_id: str | None = None,
        replyto: str | None = None,
    ) -> Outcome:
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
        cause = Cause("coordinator", f"quarantine/{stream}")
        return await self._coordinator.submit(NoteIntent(stream, e.QUARANTINE, entry, cause))


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
    return Cause(actor, f"{event.source}/{event.id}", event.correlationid or "", event.tenant)


def _under_data(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Give the problems of a request with pointers into the message that carried it."""
    return tuple(problem.under("/data") for problem in problems)


def _fingerprint(body: bytes) -> str:
    return sha256(body).hexdigest()
