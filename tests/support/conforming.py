"""`stepbus worker conform` as a user runs it, on a server of the tests."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.command_line import STEPBUS, environment

ROOT = Path(__file__).parents[2]
REDELIVERY_S = 4
"""Half of it is what a job given back at a stop has to come: enough for a busy machine."""
PACE = ("--redelivery", str(REDELIVERY_S))


@dataclass(frozen=True)
class Ran:
    """How a run of the command line ended, and what it said."""

    code: int
    said: str
    errors: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.said)
        return document

    def rules(self, outcome: str) -> Mapping[str, dict[str, Any]]:
        """Give the findings with this outcome, by the ids of their rules."""
        return {rule["id"]: rule for rule in self.document["rules"] if rule["outcome"] == outcome}


def redelivering_soon(url: str) -> str:
    """Give the URL of a bus that waits no longer for an ack than the tests can."""
    return f"{url}{'&' if '?' in url else '?'}ack_wait={REDELIVERY_S}"


async def conform(url: str, prefix: str, *arguments: str) -> Ran:
    """Try a worker on this bus."""
    return await ended(await started(url, prefix, *arguments))


async def started(url: str, prefix: str, *arguments: str) -> asyncio.subprocess.Process:
    """Begin to try a worker on this bus."""
    return await asyncio.create_subprocess_exec(
        *(STEPBUS, "worker", "conform", "--bus", redelivering_soon(url), "--prefix", prefix, *PACE, *arguments),
        cwd=ROOT,
        env=environment(PYTHONPATH=str(ROOT)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> Ran:
    """Wait for the end of a trial."""
    said, errors = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, said.decode(), errors.decode())
