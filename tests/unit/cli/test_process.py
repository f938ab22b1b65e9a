"""A process that serves ends when it is told to, whatever its parts do."""

import subprocess
import sys
from textwrap import dedent

SERVE = """
    import asyncio
    import os
    import signal
    from contextlib import asynccontextmanager

    import typer

    from stepbus.orchestrator.bootstrap.settings import Settings
    from stepbus.orchestrator.cli import process
    from stepbus.orchestrator.cli.verb import Verb


    class Process:
        async def stopped(self):
            {stopped}


    @asynccontextmanager
    async def running(settings, roles):
        yield Process()
        {drain}


    process.running = running
    process._GRACE_S = 0.1
    app = typer.Typer()


    @app.command(cls=Verb)
    def serve():
        process.serve_until_stopped(Settings(drain_timeout_s=0), (), "warning", lambda _: {ready})


    app()
"""
FOR_EVER = "await asyncio.Event().wait()"
TOLD = "os.kill(os.getpid(), signal.SIGTERM)"


def served(stopped: str = FOR_EVER, drain: str = "pass", ready: str = TOLD) -> "subprocess.CompletedProcess[str]":
    script = dedent(SERVE).format(stopped=stopped, drain=drain, ready=ready)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


def test_a_process_that_is_told_to_stop_ends_well() -> None:
    ended = served()

    assert (ended.returncode, ended.stderr) == (0, "stopping: what is in hand is finished first\n")


def test_a_drain_that_does_not_end_is_ended() -> None:
    ended = served(drain=FOR_EVER)

    assert ended.returncode == 1
    assert "error[serve.drain]: " in ended.stderr


def test_a_second_signal_ends_the_process_at_once() -> None:
    ended = served(drain=TOLD)

    assert ended.returncode == -15


def test_a_part_that_ends_by_itself_ends_the_process_with_1() -> None:
    ended = served(stopped="return", ready="None")

    assert ended.returncode == 1
    assert "error[serve.stopped]: " in ended.stderr


def test_a_drain_that_fails_is_told_without_a_traceback() -> None:
    ended = served(drain="raise OSError('no room left')")

    assert ended.returncode == 1
    assert ended.stderr.endswith("error[os.error]: no room left\n")
