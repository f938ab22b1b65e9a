"""A Python worker for tests that run it as a process: `python -m stepbus.worker tests.support.served:worker`."""

import time
from pathlib import Path

from stepbus.worker import Context, Worker

worker = Worker()


@worker.handler("python.gate", queue="python")
def gate(door: dict[str, str], context: Context) -> str:
    """Wait until the file that stands for the open door is there; say that somebody waits by another."""
    Path(door["entered"]).write_text(context.step)
    while not Path(door["open"]).exists():
        time.sleep(0.01)
    return "through"
