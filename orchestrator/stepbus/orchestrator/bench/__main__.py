"""A process of a measurement: `python -m stepbus.orchestrator.bench ROLE ORDER`, where the order is JSON.

| role | what |
|---|---|
| `workload` | measures: progress on stderr, the document on stdout |
| `worker` | answers jobs until it is ended |
| `stand-in` | takes the coordinator's place at the bus alone |
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping

import orjson
import uvloop

from stepbus.contracts.problems import Refused
from stepbus.orchestrator.bench.bare import BareWorker
from stepbus.orchestrator.bench.floor import Order, StandIn
from stepbus.orchestrator.bench.plan import Plan
from stepbus.orchestrator.bench.run import run_workload
from stepbus.orchestrator.bench.unfinished import Unfinished
from stepbus.orchestrator.bench.workloads import QUEUE
from stepbus.orchestrator.bootstrap import opened_bus
from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.ports import BusUnavailable, StoreUnavailable

_TOLD_TO_END = 143
_FORESEEN = (Unfinished, Refused, StoreUnavailable, BusUnavailable, OSError)


async def workload(order: str) -> None:
    """Measure, and say what was found, or why nothing was."""
    report = await run_workload(Plan.model_validate_json(order), _say)
    _tell(report.document())


async def worker(order: str) -> None:
    """Work until ended."""
    settings = Settings.model_validate_json(order)
    async with opened_bus(settings, settings.bus) as bus:
        _tell({"ready": True})
        await BareWorker(bus).run()


async def stand_in(order: str) -> None:
    """Open the channels, say so, and give the rate of each run."""
    told = Order.model_validate_json(order)
    settings = Settings.model_validate(told.settings)
    async with opened_bus(settings, settings.bus) as bus:
        await bus.provision((QUEUE,))
        _tell({"ready": True})
        _tell(await StandIn(bus).run(told.in_flight, told.runs, told.window_s))


_ROLES: Mapping[str, Callable[[str], Awaitable[None]]] = {
    "workload": workload,
    "worker": worker,
    "stand-in": stand_in,
}


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _tell(said: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(said) + b"\n")
    sys.stdout.buffer.flush()


async def _main(role: str, order: str) -> int:
    this = asyncio.current_task()
    assert this is not None  # noqa: S101 - asyncio.run makes one
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, this.cancel)
    try:
        await _ROLES[role](order)
    except _FORESEEN as error:
        _tell({"error": str(error) or type(error).__name__})
        return 1
    except asyncio.CancelledError:
        return _TOLD_TO_END
    return 0


if __name__ == "__main__":
    sys.exit(uvloop.run(_main(*sys.argv[1:])))
