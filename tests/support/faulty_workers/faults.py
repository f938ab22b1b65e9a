"""The faults: each worker is wrong in the way that its docstring says; `FAULTS` says which rule that breaks."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from stepbus.contracts import codec
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import Delivery
from tests.support.faulty_workers.plain import Failed, Fields, PlainWorker

FAULTS: dict[type[PlainWorker], str] = {}


def breaks(rule: str) -> Callable[[type[PlainWorker]], type[PlainWorker]]:
    """Say which rule a worker breaks, and no other."""

    def add(worker: type[PlainWorker]) -> type[PlainWorker]:
        FAULTS[worker] = rule
        return worker

    return add


# --- answers ---


@breaks("answer.comes")
class Mute(PlainWorker):
    """Works and acks, and says nothing."""

    async def say(self, event: Fields, job: Fields, kind: str, fields: Fields) -> None:
        pass


@breaks("answer.json")
class SaysNoJson(PlainWorker):
    """Writes its answers as Python would."""

    def body(self, said: Fields) -> bytes:
        return str(said).encode()


@breaks("answer.again")
class OneJobOnly(PlainWorker):
    """Takes the jobs of its first moments and no more."""

    answered = 0

    async def work(self, delivery: Delivery, event: Fields, job: Fields) -> None:
        self.answered += 1
        if self.answered > 3:
            await asyncio.Event().wait()
        await super().work(delivery, event, job)


@breaks("answer.replyto")
class AnswersElsewhere(PlainWorker):
    """Sends every success to the first partition."""

    async def say(self, event: Fields, job: Fields, kind: str, fields: Fields) -> None:
        elsewhere = {**job, "replyto": self.bus.address("results.0")} if kind == "step.completed" else job
        await super().say(event, elsewhere, kind, fields)


class _WrongEcho(PlainWorker):
    """Echoes an answer wrongly; of heartbeats, which have a rule of their own, nothing."""

    def wrong(self, data: Fields) -> None:
        raise NotImplementedError

    def envelope(self, event: Fields, job: Fields, kind: str, data: Fields) -> Fields:
        if kind != "step.heartbeat":
            self.wrong(data)
        return super().envelope(event, job, kind, data)


@breaks("answer.token")
class WrongToken(_WrongEcho):
    """Makes up a token."""

    def wrong(self, data: Fields) -> None:
        data["token"] = "made-up"  # noqa: S105 - of a test


@breaks("answer.attempt")
class NoAttempt(_WrongEcho):
    """Forgets the attempt."""

    def wrong(self, data: Fields) -> None:
        del data["attempt"]


@breaks("answer.attempt")
class FirstAttemptAlways(_WrongEcho):
    """Takes every attempt for the first."""

    def wrong(self, data: Fields) -> None:
        data["attempt"] = 1


@breaks("answer.step")
class WrongTask(_WrongEcho):
    """Names the task by the name of its step."""

    def wrong(self, data: Fields) -> None:
        data["task_id"] = data["step"]


@breaks("answer.schema")
class WrongSchema(_WrongEcho):
    """Gives a number for its name."""

    def wrong(self, data: Fields) -> None:
        data["worker"] = 7


@breaks("answer.ids")
class SameIds(PlainWorker):
    """Gives every message the same id."""

    def new_id(self) -> str:
        return "message"


@breaks("answer.many")
class MixesUp(PlainWorker):
    """Answers with the value of another job, where many are in hand."""

    async def handler(self, event: Fields, job: Fields, deadline: asyncio.Timeout) -> Fields:
        if not isinstance(value := job["inputs"]["context"].get("value"), int):
            return await super().handler(event, job, deadline)
        self.last = value
        await asyncio.sleep(0.05)
        return {"echo": self.last}


@breaks("answer.result")
class KeepsResult(PlainWorker):
    """Gives another result for this very value."""

    async def handler(self, event: Fields, job: Fields, deadline: asyncio.Timeout) -> Fields:
        result = await super().handler(event, job, deadline)
        return {"echo": "one"} if result == {"echo": "one of many"} else result


# --- envelopes ---


class _WrongEnvelope(PlainWorker):
    """Says one thing of the envelope wrongly."""

    wrong: ClassVar[dict[str, Any]]

    def envelope(self, event: Fields, job: Fields, kind: str, data: Fields) -> Fields:
        said = super().envelope(event, job, kind, data) | self.wrong
        return {name: value for name, value in said.items() if value is not None}


@breaks("envelope.valid")
class TimeWithoutZone(_WrongEnvelope):
    """Says a time without its zone."""

    wrong: ClassVar = {"time": "2026-01-01T12:00:00"}


@breaks("envelope.dataschema")
class WrongDataschema(_WrongEnvelope):
    """Names a schema that does not exist."""

    wrong: ClassVar = {"dataschema": "https://stepbus.dev/schemas/step.done/1"}


@breaks("envelope.partitionkey")
class NoPartitionkey(_WrongEnvelope):
    """Leaves out the partition key."""

    wrong: ClassVar = {"partitionkey": None}


@breaks("envelope.causation")
class WrongCause(_WrongEnvelope):
    """Names another cause."""

    wrong: ClassVar = {"causationid": "/plain/unknown"}


@breaks("envelope.correlation")
class NoCorrelation(_WrongEnvelope):
    """Loses the correlation."""

    wrong: ClassVar = {"correlationid": None}


@breaks("envelope.tenant")
class OneTenant(_WrongEnvelope):
    """Takes everybody for the default tenant."""

    wrong: ClassVar = {"tenant": "default"}


@breaks("envelope.trace")
class OwnTrace(_WrongEnvelope):
    """Begins a trace of its own."""

    wrong: ClassVar = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


# --- inputs ---


class _WrongEcho2(PlainWorker):
    """Gives a value back that is not the one it was given."""

    def wrong(self, value: Any) -> Any:
        raise NotImplementedError

    async def handler(self, event: Fields, job: Fields, deadline: asyncio.Timeout) -> Fields:
        result = await super().handler(event, job, deadline)
        return {"echo": self.wrong(result["echo"])} if "echo" in result else result


@breaks("input.empty")
class LosesNulls(_WrongEcho2):
    """Takes null for nothing."""

    def wrong(self, value: Any) -> Any:
        return [item for item in value if item is not None] if isinstance(value, list) else value


@breaks("input.empty")
class FalseForZero(_WrongEcho2):
    """Takes 0 for false."""

    def wrong(self, value: Any) -> Any:
        return [False if item == 0 else item for item in value] if isinstance(value, list) else value


@breaks("input.numbers")
class RoundsNumbers(_WrongEcho2):
    """Reads numbers as single floats."""

    def wrong(self, value: Any) -> Any:
        return [round(item, 3) for item in value] if isinstance(value, list) and isinstance(value[0], int) else value


@breaks("input.unicode")
class ManglesText(_WrongEcho2):
    """Knows Latin letters alone."""

    def wrong(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [
            item.encode("latin-1", "replace").decode("latin-1") if isinstance(item, str) else item for item in value
        ]


@breaks("input.keys")
class DropsKeys(_WrongEcho2):
    """Loses the keys that its language has another use for."""

    def wrong(self, value: Any) -> Any:
        return {k: v for k, v in value.items() if k != "__proto__"} if isinstance(value, dict) else value


@breaks("input.nested")
class ShallowReader(PlainWorker):
    """Reads no more than 30 levels, and fails where there are more."""

    async def handler(self, event: Fields, job: Fields, deadline: asyncio.Timeout) -> Fields:
        if codec.encode(job["inputs"]).count(b"[") + codec.encode(job["inputs"]).count(b"{") > 35:
            raise Failed("plain.depth", "too deep")
        return await super().handler(event, job, deadline)


@breaks("input.large")
class SmallReader(PlainWorker):
    """Reads no more than 64 KiB, and lets larger jobs lie."""

    async def take(self, delivery: Delivery) -> None:
        if len(delivery.body) > 65_536:
            await self.queue.ack([delivery])
        else:
            await super().take(delivery)


@breaks("input.names")
class NarrowNames(PlainWorker):
    """Takes step names of letters alone."""

    async def handler(self, event: Fields, job: Fields, deadline: asyncio.Timeout) -> Fields:
        if "@" in job["step"]:
            raise Failed("plain.step", "no name of a step")
        return await super().handler(event, job, deadline)


@breaks("input.unknown_fields")
class StrictReader(PlainWorker):
    """Refuses fields that it does not know."""

    async def handler(self, event: Fields, job: Fields, deadline: asyncio.Timeout) -> Fields:
        if "priority" in event["data"]:
            raise Failed("plain.unknown_field", "priority")
        return await super().handler(event, job, deadline)


@breaks("input.newer_version")
class OneVersion(PlainWorker):
    """Fails jobs of a newer version."""

    async def handler(self, event: Fields, job: Fields, deadline: asyncio.Timeout) -> Fields:
        if event.get("dataschema", "1")[-1] != "1":
            raise Failed("plain.version", "too new")
        return await super().handler(event, job, deadline)


@breaks("input.few_attributes")
class DemandsAttributes(PlainWorker):
    """Breaks where an optional attribute is missing, and leaves the job unanswered."""

    async def handler(self, event: Fields, job: Fields, deadline: asyncio.Timeout) -> Fields:
        if "correlationid" not in event:
            raise Failed("KeyError", "correlationid")
        return await super().handler(event, job, deadline)


# --- failures ---


class _WrongError(PlainWorker):
    """Says one thing of an error wrongly."""

    def wrong(self, error: Fields) -> None:
        raise NotImplementedError

    def failure(self, context: Fields) -> Failed:
        failed = super().failure(context)
        self.wrong(failed.error)
        return failed


@breaks("failure.retryable")
class LosesRetryable(_WrongError):
    """Gives up at once, unless it was asked to wait."""

    def wrong(self, error: Fields) -> None:
        error["retryable"] = "retry_after" in error


@breaks("failure.permanent")
class RetriesAlways(_WrongError):
    """Takes every failure for one that passes."""

    def wrong(self, error: Fields) -> None:
        error["retryable"] = True


@breaks("failure.retry_after")
class LosesDelay(_WrongError):
    """Loses the delay."""

    def wrong(self, error: Fields) -> None:
        error.pop("retry_after", None)


@breaks("failure.retry_after")
class DelayInMilliseconds(_WrongError):
    """Says the delay in milliseconds."""

    def wrong(self, error: Fields) -> None:
        if "retry_after" in error:
            error["retry_after"] *= 1000


@breaks("failure.refused")
class SucceedsAnyway(PlainWorker):
    """Succeeds with what it does not know."""

    async def handler(self, event: Fields, job: Fields, deadline: asyncio.Timeout) -> Fields:
        try:
            return await super().handler(event, job, deadline)
        except Failed as failed:
            if failed.error["code"] == "probe.unknown":
                return {"done": "nothing"}
            raise


@breaks("failure.large_result")
class SendsLargeResults(PlainWorker):
    """Sends a result however large it is."""

    def too_large(self, result: Fields) -> tuple[str, Fields]:
        return "step.completed", {"result": result}


@breaks("failure.large_result")
class SilentOnLargeResults(PlainWorker):
    """Acks a job whose result can't be sent, and says nothing."""

    async def finish(self, delivery: Delivery, event: Fields, job: Fields, ending: str, fields: Fields) -> None:
        if fields.get("error", {}).get("code") != "result.too_large":
            await self.say(event, job, ending, fields)
        await self.queue.ack([delivery])


# --- deliveries ---


@breaks("delivery.twice")
class FailsTheSecondTime(PlainWorker):
    """Fails a job that it has seen before."""

    async def handler(self, event: Fields, job: Fields, deadline: asyncio.Timeout) -> Fields:
        is_again = job["inputs"]["context"].get("do") == "echo" and self.effects.get(event["id"])
        self.effects[event["id"]] = 1
        if is_again:
            raise Failed("plain.duplicate", "seen before")
        return await super().handler(event, job, deadline)


@breaks("delivery.effect_once")
class DoublesTheEffect(PlainWorker):
    """Does the effect with each delivery of an attempt."""

    def effect(self, job: Fields) -> int:
        key = f"{job['idempotency_key']}/{job['attempt']}"
        self.effects[key] = self.effects.get(key, 0) + 1
        return self.effects[key]


@breaks("delivery.effect_of_attempts")
class AnEffectForEachAttempt(PlainWorker):
    """Keys the effect by the attempt."""

    def effect(self, job: Fields) -> int:
        attempts = self.effects.setdefault(job["idempotency_key"], job["attempt"])
        self.effects[job["idempotency_key"]] = max(attempts, job["attempt"])
        return self.effects[job["idempotency_key"]]


@breaks("delivery.other_handler")
class RunsAnything(PlainWorker):
    """Runs whatever is on its queue."""

    async def not_ours(self, delivery: Delivery, event: Fields, job: Fields) -> None:
        await self.work(delivery, event, job)


@breaks("delivery.other_handler")
class DropsOthers(PlainWorker):
    """Acks what it does not serve, and says nothing."""

    async def not_ours(self, delivery: Delivery, _event: Fields, _job: Fields) -> None:
        await self.queue.ack([delivery])


@breaks("delivery.acked")
class NeverAcks(PlainWorker):
    """Forgets some acks."""

    async def finish(self, delivery: Delivery, event: Fields, job: Fields, ending: str, fields: Fields) -> None:
        await self.say(event, job, ending, fields)
        if job["inputs"]["context"].get("value") not in ("ordinary", "first", "second"):
            await self.queue.ack([delivery])


@breaks("delivery.ack_last")
class AcksFirst(PlainWorker):
    """Acks a job when it takes it. Told to stop, it finishes what it has."""

    async def work(self, delivery: Delivery, event: Fields, job: Fields) -> None:
        await self.queue.ack([delivery])
        await super().work(delivery, event, job)


# --- time ---


@breaks("heartbeat.comes")
class NeverBeats(PlainWorker):
    """Says nothing while it works."""

    async def beat(self, event: Fields, job: Fields) -> None:
        pass


@breaks("heartbeat.echoes")
class BeatsForAnother(PlainWorker):
    """Echoes a wrong token in its heartbeats."""

    async def beat(self, event: Fields, job: Fields) -> None:
        await self.say(event, job, "step.heartbeat", {"token": "made-up"})


@breaks("heartbeat.extends")
class CountsFromTheStart(PlainWorker):
    """Gives up when the time is over, whether it beats or not."""

    async def handler(self, event: Fields, job: Fields, deadline: asyncio.Timeout) -> Fields:
        async with asyncio.timeout(job["timeout_ms"] / 1000):
            return await super().handler(event, job, deadline)


@breaks("deadline.no_late_success")
class SucceedsLate(PlainWorker):
    """Knows no deadline."""

    async def attempt(self, event: Fields, job: Fields) -> tuple[str, Fields]:
        return await super().attempt(event, job | {"timeout_ms": 60_000} if "silent" in str(job) else job)


@breaks("deadline.retryable")
class TooLateForGood(PlainWorker):
    """Takes a late attempt for one that no other can mend."""

    def too_late(self) -> Fields:
        return {"code": "plain.timeout", "message": "too late", "retryable": False}


@breaks("cancel.lets_go")
class NeverLetsGo(PlainWorker):
    """Answers when the time is over, and then waits for ever for the work to end."""

    is_stuck = False

    async def work(self, delivery: Delivery, event: Fields, job: Fields) -> None:
        if self.is_stuck:
            await asyncio.Event().wait()
        await super().work(delivery, event, job)
        self.is_stuck = self.is_stuck or "silent" in str(job)


# --- poison ---


@breaks("poison.not_json")
class LoopsOnPoison(PlainWorker):
    """Gives back what it can't read, for ever."""

    async def poisoned(self, delivery: Delivery, refused: Refused) -> None:
        if refused.problems and refused.problems[0].code.startswith("json."):
            await self.queue.nack(delivery, 0.2)
        else:
            await super().poisoned(delivery, refused)


@breaks("poison.wrong_type")
class DiesOfPoison(PlainWorker):
    """Ends when it meets a message of another type."""

    async def poisoned(self, delivery: Delivery, refused: Refused) -> None:
        if b"task.completed" in delivery.body:
            for task in self.running:
                task.cancel()
            self.stopping.set()
        else:
            await super().poisoned(delivery, refused)


@breaks("poison.missing_data")
class SwallowsPoison(PlainWorker):
    """Acks a job that lacks something, and says nothing."""

    async def poisoned(self, delivery: Delivery, refused: Refused) -> None:
        if b"step.requested" in delivery.body and b"replyto" not in delivery.body:
            await self.queue.ack([delivery])
        else:
            await super().poisoned(delivery, refused)


@breaks("poison.replyto")
class AnswersAnywhere(PlainWorker):
    """Sends its answer wherever a job asks for it."""

    def channel_of(self, address: str) -> str | None:
        return "events" if address == self.bus.address("events") else super().channel_of(address)


@breaks("poison.entry")
class EntryWithoutReason(PlainWorker):
    """Hands over what is no job, and does not say why."""

    async def send(self, channel: str, body: bytes) -> None:
        said = codec.decode(body)
        if said["type"] == "message.quarantined":
            del said["data"]["reason"]
        await super().send(channel, codec.encode(said))


@breaks("poison.once")
class PoisonAgain(PlainWorker):
    """Hands over what is no job, and never acks it."""

    async def poisoned(self, delivery: Delivery, _refused: Refused) -> None:
        await self.hand_over(delivery)


# --- stops ---


@breaks("stop.ends")
class NeverEnds(PlainWorker):
    """Takes no more jobs when it is told to stop, and does not end."""

    async def stopped(self) -> None:
        await super().stopped()
        await asyncio.Event().wait()


@breaks("stop.loses_nothing")
class DropsItsWork(PlainWorker):
    """Acks what it has in hand when it is told to stop, and ends."""

    async def stopped(self) -> None:
        await self.queue.ack(list(self.running.values()))


@breaks("stop.gives_back")
class KeepsItsWork(PlainWorker):
    """Ends at once when it is told to stop, and gives nothing back: its jobs wait until the broker misses them."""

    async def stopped(self) -> None:
        pass
