"""An answer is sent until it is confirmed, and its job is acked then and not before."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from stepbus.orchestrator.ports import BusUnavailable, Delivery, NotSent, Outgoing, Sent
from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.worker.hand import InHand
from stepbus.worker.outbox import Outbox
from stepbus.worker.stats import Stats

Answer = Callable[[Outgoing], Sent | NotSent]


class ScriptedBus:
    """Answers each call as the script says, and after its end confirms everything; keeps what was asked, in order."""

    def __init__(self, *script: Answer | Exception) -> None:
        self.script = list(script)
        self.asked: list[str] = []

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        self.asked.append("send " + ",".join(message.id for message in messages))
        answer = self.script.pop(0) if self.script else lambda _: Sent()
        if isinstance(answer, Exception):
            raise answer
        return [answer(message) for message in messages]

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        self.asked.append("ack " + ",".join(str(delivery.count) for delivery in deliveries))


@asynccontextmanager
async def outbox_on(bus: ScriptedBus, stats: Stats | None = None) -> AsyncIterator[Outbox]:
    outbox = Outbox(bus, stats or Stats())  # type: ignore[arg-type]
    outbox.start()
    yield outbox
    await outbox.close()


def message(name: str) -> Outgoing:
    return Outgoing("results.0", name, b"{}")


def job(bus: ScriptedBus, number: int) -> InHand:
    return InHand(bus, [Delivery("jobs.q", b"", {}, number)])  # type: ignore[arg-type]


def unsure(_: Outgoing) -> NotSent:
    return NotSent("no confirm")


def refused(_: Outgoing) -> NotSent:
    return NotSent("too large", permanent=True)


async def test_answers_that_come_together_are_sent_together_and_their_jobs_acked_together() -> None:
    bus = ScriptedBus()
    async with outbox_on(bus) as outbox:
        await asyncio.gather(*(outbox.answer(job(bus, number), message(f"m{number}")) for number in (1, 2, 3)))

    assert bus.asked == ["send m1,m2,m3", "ack 1,2,3"]


@pytest.mark.parametrize("trouble", [unsure, BusUnavailable("away")])
async def test_an_answer_is_sent_again_under_its_id_until_it_is_confirmed(trouble: Answer | Exception) -> None:
    bus, stats = ScriptedBus(trouble, trouble), Stats()
    async with outbox_on(bus, stats) as outbox:
        sent = await outbox.answer(job(bus, 1), message("m"))

    assert sent == Sent()
    assert bus.asked == ["send m", "send m", "send m", "ack 1"]
    assert stats.retried == 2


async def test_of_a_batch_only_what_was_not_confirmed_is_sent_again() -> None:
    bus = ScriptedBus(lambda each: unsure(each) if each.id == "m1" else Sent())
    async with outbox_on(bus) as outbox:
        await asyncio.gather(*(outbox.answer(job(bus, number), message(f"m{number}")) for number in (1, 2)))

    assert bus.asked == ["send m1,m2", "ack 2", "send m1", "ack 1"]


async def test_an_answer_that_can_never_be_sent_is_given_up_and_its_job_with_it() -> None:
    bus = ScriptedBus(refused)
    async with outbox_on(bus) as outbox:
        sent = await outbox.answer(job(bus, 1), message("m"))

    assert sent == NotSent("too large", permanent=True)
    assert bus.asked == ["send m", "ack 1"]


async def test_what_answers_no_job_is_sent_once() -> None:
    bus = ScriptedBus(unsure)
    async with outbox_on(bus) as outbox:
        assert await outbox.tell(message("beat")) == NotSent("no confirm")

    assert bus.asked == ["send beat"]


async def test_a_job_that_was_given_back_meanwhile_is_not_answered() -> None:
    bus = ScriptedBus(unsure, unsure)
    async with outbox_on(bus) as outbox:
        answering = asyncio.create_task(outbox.answer(job(bus, 1), message("m")))
        await wait_until(lambda: len(bus.asked) == 2)
        answering.cancel()
        await outbox.tell(message("other"))

    assert "ack 1" not in bus.asked


async def test_who_waits_when_the_outbox_closes_is_cancelled() -> None:
    bus = ScriptedBus(*[unsure] * 100)
    async with outbox_on(bus) as outbox:
        answering = asyncio.create_task(outbox.answer(job(bus, 1), message("m")))
        await wait_until(lambda: bus.asked)
    with pytest.raises(asyncio.CancelledError):
        await answering
