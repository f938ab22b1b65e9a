"""Servers that a test runs with options of its own, and what they are reached and certified by."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stepbus.orchestrator.testing.waiting import wait_until


async def certify(certificate: Path, key: Path) -> None:
    """Write a certificate of this machine for itself."""
    command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    names = ("-addext", "subjectAltName=IP:127.0.0.1")
    making = await asyncio.create_subprocess_exec(
        *command, *names, "-keyout", str(key), "-out", str(certificate), stderr=subprocess.DEVNULL
    )
    assert await making.wait() == 0


async def listens(port: int) -> bool:
    """Say whether somebody listens at a port of this machine."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


@asynccontextmanager
async def running_at(port: int, *command: str) -> AsyncIterator[None]:
    """Run a server that listens at the port, for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await wait_until(lambda: listens(port))
        yield
    finally:
        process.terminate()
        await process.wait()
