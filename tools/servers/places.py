"""Where a server runs: as a process of this machine, in a container, or at a URL that somebody gave."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from tools.servers.kinds import Kind, ServerError, free_port

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
POLL_INTERVAL_S = 0.02


class Server(Protocol):
    """A server that answers at its URL from the first start to the last stop, always at the same one."""

    @property
    def url(self) -> str: ...

    @property
    def pid(self) -> int: ...

    def start(self) -> None:
        """Start, or start again after `kill` or `stop`, with the same port and data; returns when it is ready."""

    def kill(self) -> None:
        """End it at once with SIGKILL, as a crash would; returns when it is gone."""

    def stop(self) -> None:
        """End it in good order; returns when it is gone."""

    def wipe(self) -> None:
        """End it at once and delete its data, so that the next `start` begins with nothing."""


class LocalServer:
    """A server as a process of this machine, known by its pid, with a data folder that it alone uses."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._port = free_port()
        self._user = kind.user()
        self._process: subprocess.Popen[bytes] | None = None
        self._has_been_ready = False
        self._folder = Path(tempfile.mkdtemp(prefix="stepbus-server-"))
        self._log = self._folder / "server.log"
        self._log.touch()
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self._prepare()

    @property
    def url(self) -> str:
        return self._kind.url(self._port)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerError(f"expected {self._kind.name} to run, but it is stopped")
        return self._process.pid

    def start(self) -> None:
        """Start and wait until ready.

        One that ends by itself at a later start is tried anew until the time is up: after SIGKILL its port or its data
        can be held for a moment by what it left behind.
        """
        deadline = time.monotonic() + READY_TIMEOUT_S
        self._process = self._process or self._spawn(self._kind.command(self._port))
        while time.monotonic() < deadline:
            if self._process.poll() is None:
                if answers(self._kind, self._port):
                    self._has_been_ready = True
                    return
            elif self._has_been_ready:
                self._process = self._spawn(self._kind.command(self._port))
            else:
                break
            time.sleep(POLL_INTERVAL_S)
        self.kill()
        raise ServerError(f"expected {self._kind.name} to be ready in {READY_TIMEOUT_S} s; it says:\n{self._said()}")

    def kill(self) -> None:
        """End it and whatever it has started, which is in its session."""
        if self._process is not None:
            self._end_all(self._process)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(self._kind.stop_signal)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        self.kill()

    def wipe(self) -> None:
        self.kill()
        for entry in self._folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry != self._log:
                entry.unlink()
        self._prepare()

    def discard(self) -> None:
        """Stop it and delete its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _prepare(self) -> None:
        preparation = self._kind.preparation()
        if preparation is not None and self._spawn(preparation).wait() != 0:
            raise ServerError(f"expected {preparation[0]} to succeed; it says:\n{self._said()}")

    @staticmethod
    def _end_all(process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self._user,
                start_new_session=True,  # a Ctrl-C at the terminal reaches us only; we stop the server
            )

    def _said(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])


class ContainerServer:
    """A server in a container of the Docker engine, on a port of this machine that stays the same over restarts."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._port = free_port()
        self._container = self._fresh()
        self._is_created = False

    @property
    def url(self) -> str:
        return self._kind.url(self._port)

    @property
    def pid(self) -> int:
        engine: Any = self._container.get_wrapped_container()
        engine.reload()
        return int(engine.attrs["State"]["Pid"])

    def start(self) -> None:
        if self._is_created:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._is_created = True
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            if answers(self._kind, self._port):
                return
            time.sleep(POLL_INTERVAL_S)
        raise ServerError(f"expected {self._kind.name} in a container to be ready in {READY_TIMEOUT_S} s")

    def kill(self) -> None:
        engine = self._container.get_wrapped_container()
        engine.kill("SIGKILL")
        engine.wait()

    def stop(self) -> None:
        self._container.get_wrapped_container().stop()

    def wipe(self) -> None:
        self.discard()
        self._container = self._fresh()
        self._is_created = False

    def discard(self) -> None:
        self._container.stop()

    def _fresh(self) -> Any:
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - an extra, for this place only

        return (
            DockerContainer(self._kind.image)
            .with_command(list(self._kind.container_command))
            .with_envs(**self._kind.container_environment(self._port))
            .with_bind_ports(self._kind.container_port, self._port)
        )


class GivenServer:
    """A server that somebody else runs; it can be used, not started, killed or stopped."""

    def __init__(self, kind: Kind, url: str) -> None:
        self._kind = kind
        self.url = url

    @property
    def pid(self) -> int:
        raise self._refusal()

    def start(self) -> None:
        raise self._refusal()

    def kill(self) -> None:
        raise self._refusal()

    def stop(self) -> None:
        raise self._refusal()

    def wipe(self) -> None:
        raise self._refusal()

    def _refusal(self) -> ServerError:
        variable = self._kind.environment_variable
        return ServerError(f"expected a server of our own, but {variable} names one that is not ours to handle")


def answers(kind: Kind, port: int) -> bool:
    try:
        return kind.is_ready(port)
    except OSError:  # nobody listens there
        return False


@cache
def docker_answers() -> bool:
    """Tell whether a Docker engine can be reached; the client alone is not enough."""
    if not (os.environ.get("DOCKER_HOST") or Path("/var/run/docker.sock").exists()):
        return False
    # in a process of its own: an attempt that fails leaves an open socket behind
    ask = "from testcontainers.core.docker_client import DockerClient; DockerClient().client.ping()"
    return subprocess.run((sys.executable, "-c", ask), capture_output=True, timeout=60, check=False).returncode == 0
