"""A worker says what it serves when it comes up, until the bus has confirmed it or never will."""

from collections.abc import Sequence

import pytest

from stepbus.contracts import messages
from stepbus.contracts.messages import ServedHandler, WorkerAnnounced
from stepbus.orchestrator.ports import BusUnavailable, NotSent, Outgoing, Sent
from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.worker import Worker, announcement
from tests.support.world import memory_bus

MESSAGE = announcement.announcement("w-1", "/stepbus/worker/w-1", ["orders.pay", "orders.check"])


class ScriptedBus:
    """Answers each call as the script says, and counts them."""

    def __init__(self, *script: Sent | NotSent | Exception) -> None:
        self.script = list(script)
        self.sent: list[str] = []

    async def publish(self, outgoing: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        self.sent += [message.id for message in outgoing]
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [answer]


def test_it_names_each_handler_with_the_contract_that_it_understands() -> None:
    event, message = messages.read_body(MESSAGE.body)

    assert message == WorkerAnnounced(
        worker="w-1",
        handlers=(ServedHandler(handler="orders.check", contract=1), ServedHandler(handler="orders.pay", contract=1)),
    )
    assert (MESSAGE.channel, MESSAGE.key, event.source) == ("tasks", "w-1", "/stepbus/worker/w-1")


@pytest.mark.parametrize("last", [Sent(), NotSent("too large", permanent=True)])
async def test_it_is_sent_under_its_id_until_that_is_settled(
    last: Sent | NotSent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcement, "_PAUSE_S", 0)
    bus = ScriptedBus(NotSent("no confirm"), BusUnavailable("away"), last)

    await announcement.announce(bus, MESSAGE)  # type: ignore[arg-type]

    assert bus.sent == [MESSAGE.id] * 3


async def test_a_worker_that_starts_is_announced_each_time() -> None:
    bus = await memory_bus()
    await bus.provision()
    tasks = await bus.subscribe("tasks")
    worker = Worker(bus=bus, name="w-1")
    worker.handler("orders.check")(lambda _: None)
    heard: list[messages.Message] = []

    async def is_heard() -> bool:
        heard.extend(messages.read_body(delivery.body)[1] for delivery in await tasks.receive(10, 0.1))
        return bool(heard)

    for _ in range(2):
        heard.clear()
        async with worker:
            await wait_until(is_heard)
        assert heard == [WorkerAnnounced(worker="w-1", handlers=(ServedHandler(handler="orders.check", contract=1),))]
