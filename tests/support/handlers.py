"""A worker for tests of whole tasks, all in one queue: `python -m stepbus.worker tests.support.handlers:worker`."""

import asyncio
from pathlib import Path

from stepbus.worker import Context, PermanentError, RetryableError, Worker

QUEUE = "handlers"

worker = Worker()


@worker.handler("handlers.succeed", queue=QUEUE)
async def succeed(_inputs: object, context: Context) -> dict[str, str]:
    """Do nothing, well."""
    return {"step": context.step}


@worker.handler("handlers.refuse", queue=QUEUE)
async def refuse(_inputs: object, _context: Context) -> None:
    """Fail for good."""
    raise PermanentError("card.declined", "the bank says no")


@worker.handler("handlers.stumble", queue=QUEUE)
async def stumble(_inputs: object, _context: Context) -> None:
    """Fail, and ask for another attempt much later."""
    raise RetryableError("bank.away", "nobody answers", retry_after=3600)


@worker.handler("handlers.wait", queue=QUEUE)
async def wait(inputs: dict[str, str], context: Context) -> dict[str, str]:
    """Go on as soon as the file is there that the task's context names as `gate`."""
    gate = Path(inputs["gate"])
    while not gate.exists():  # noqa: ASYNC110, ASYNC240 - the test is another process
        await asyncio.sleep(0.01)
    return {"step": context.step}
