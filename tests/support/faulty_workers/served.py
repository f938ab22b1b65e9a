"""Runs one worker as the kit starts it: `python -m tests.support.faulty_workers.served WrongToken`."""

import asyncio
import os
import sys

from stepbus.adapters.nats import connect
from stepbus.orchestrator.ports import BusSettings
from tests.support.faulty_workers.faults import FAULTS
from tests.support.faulty_workers.plain import PlainWorker


async def serve(name: str) -> None:
    workers = {worker.__name__: worker for worker in FAULTS} | {"PlainWorker": PlainWorker}
    adapter = connect(os.environ["STEPBUS_BUS"])
    assert adapter.bus is not None
    bus = await adapter.bus(BusSettings(prefix=os.environ["STEPBUS_PREFIX"]))
    await workers[name](bus, {}).serve()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
