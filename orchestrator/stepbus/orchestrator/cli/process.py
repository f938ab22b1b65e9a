"""A process that serves until it is told to stop, or a part of it fails."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import typer
import uvloop

from stepbus.orchestrator.bootstrap import Running, running
from stepbus.orchestrator.bootstrap.interpreter import settle_interpreter
from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.cli.failure import Failure, report

LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    typer.Option("--log-level", help="What is logged to stderr: this, and what is worse."),
]

_GRACE_S = 5.0
"""How much longer than its own limit a drain may take."""
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve_until_stopped(
    settings: Settings, roles: Sequence[str], log_level: str, ready: Callable[[Running], None]
) -> None:
    """Run the roles, call `ready` once they all work, and drain when SIGINT or SIGTERM comes.

    A second signal ends at once.

    Raises:
        Failure: `serve.stopped`, a part ended that should not have.
        Refused, StoreUnavailable, BusUnavailable: see `running`.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    uvloop.run(_serve(settings, roles, ready))


async def _serve(settings: Settings, roles: Sequence[str], ready: Callable[[Running], None]) -> None:
    told = asyncio.Event()
    last_resort = threading.Timer(settings.drain_timeout_s + _GRACE_S, _end)
    last_resort.daemon = True
    loop = asyncio.get_running_loop()

    def stop() -> None:
        told.set()
        last_resort.start()
        typer.echo("stopping: what is in hand is finished first", err=True)
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    async with running(settings, roles) as process:
        ready(process)
        settle_interpreter()
        waits = {asyncio.create_task(told.wait()), asyncio.create_task(process.stopped())}
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
    last_resort.cancel()
    if not told.is_set():
        raise Failure(
            "serve.stopped", "expected every part to run until it is told to stop, but one has ended; see the log"
        )


def _end() -> None:
    message = "expected what was in hand to be finished by now, but it is not; what is left is in the log"
    report(Failure("serve.drain", message), as_json=False)
    os._exit(1)
