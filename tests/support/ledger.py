"""A worker whose every effect is a line in a file, for tests that kill it.

`python -m stepbus.worker tests.support.ledger:worker` runs it. Its attempts fail and take their time by a rule of
task, step and attempt, so that nothing here is chance.
"""

import asyncio
import os
from hashlib import sha256
from uuid import UUID

from stepbus.worker import Context, RetryableError, Worker

QUEUE = "ledger"
FILE = "STEPBUS_TEST_LEDGER"
"""The variable that names the file."""

_FAILS_OF_256 = 20
_LONGEST_S = 0.05

worker = Worker()


@worker.handler("ledger.work", queue=QUEUE)
async def work(context: Context) -> dict[str, str]:
    """Take a while, and either fail or do the effect."""
    chance = sha256(f"{context.idempotency_key}/{context.attempt}".encode()).digest()
    await asyncio.sleep(chance[1] / 255 * _LONGEST_S)
    if chance[0] < _FAILS_OF_256:
        raise RetryableError("ledger.away")
    _write(f"{context.task_id} {context.step} {context.attempt}\n")
    return {"step": context.step}


def effects(file: os.PathLike[str]) -> set[tuple[UUID, str]]:
    """Give the steps whose effect was done at least once."""
    with open(file, encoding="utf-8") as lines:  # noqa: PTH123 - any path will do
        entries = [line.split() for line in lines]
    return {(UUID(task_id), step) for task_id, step, _ in entries}


def _write(line: str) -> None:
    """Add a line that is whole, however many processes write."""
    file = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
