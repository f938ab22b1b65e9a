"""The probe handler, written with the Python library: `python -m stepbus.worker tests.support.probe:worker`."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from stepbus.worker import Context, PermanentError, RetryableError, Worker

worker = Worker()


@worker.handler("conform.probe")
async def probe(asked: dict[str, Any], context: Context) -> Any:
    """Do what the task's context asks for."""
    match asked.get("do"):
        case "echo":
            return {"echo": asked.get("value")}
        case "sleep":
            await sleep(asked, context)
            return {"slept": asked["seconds"]}
        case "big":
            return {"blob": "x" * asked["size"]}
        case "effect":
            return {"effects": effect(context.idempotency_key)}
        case "fail" if asked["retryable"]:
            raise RetryableError(asked["code"], asked["message"], retry_after=asked.get("retry_after"))
        case "fail":
            raise PermanentError(asked["code"], asked["message"])
        case unknown:
            raise PermanentError("probe.unknown", f"expected something that a probe can do, found {unknown!r}")


async def sleep(asked: dict[str, Any], context: Context) -> None:
    """Work for a while, with a heartbeat in each third of the attempt's time."""
    left_s = asked["seconds"]
    while left_s > 0:
        step_s = min(context.timeout_s / 3, 1.0, left_s)
        await asyncio.sleep(step_s)
        left_s -= step_s
        if not asked.get("silent"):
            await context.heartbeat({"left_s": left_s})


def effect(key: str) -> int:
    """Count an effect, once for its key: in a file, since the worker may be killed."""
    file = Path(os.environ["PROBE_EFFECTS"])
    counts = json.loads(file.read_text()) if file.exists() else {}
    counts.setdefault(key, 1)
    file.write_text(json.dumps(counts))
    return int(counts[key])
