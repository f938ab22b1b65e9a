"""What a worker says when it comes up: the handlers that it serves, and the contract that they understand."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import uuid4

from stepbus.contracts import envelope
from stepbus.contracts.envelope import CloudEvent
from stepbus.contracts.messages import ServedHandler, StepRequested, WorkerAnnounced
from stepbus.orchestrator.ports import Bus, BusUnavailable, NotSent, Outgoing

_LOGGER = logging.getLogger("stepbus.worker")
_CHANNEL = "tasks"
_PAUSE_S = 1.0


def announcement(worker: str, source: str, handlers: Iterable[str]) -> Outgoing:
    """Give the message that says what a worker serves. Its id is new each time: the same again may be news by then."""
    served = tuple(ServedHandler(handler=name, contract=StepRequested.VERSION) for name in sorted(handlers))
    announced = WorkerAnnounced(worker=worker, handlers=served)
    event = CloudEvent(
        id=uuid4().hex,
        source=source,
        type=announced.TYPE,
        time=datetime.now(UTC),
        dataschema=announced.dataschema(),
        data=announced.model_dump(mode="json", exclude_none=True),
    )
    return Outgoing(_CHANNEL, event.id, envelope.write(event), worker)


async def announce(bus: Bus, message: Outgoing) -> None:
    """Send until the bus has confirmed it, or never will: a worker works whether it is announced or not."""
    while True:
        try:
            (answer,) = await bus.publish([message])
        except BusUnavailable as error:
            answer = NotSent(str(error))
        if not isinstance(answer, NotSent):
            return
        _LOGGER.warning("the worker could not be announced: %s", answer.reason)
        if answer.permanent:
            return
        await asyncio.sleep(_PAUSE_S)
