"""What a kind of server is. One more kind is one more small class."""

import os
import random
import shutil
import signal
import socket
import sysconfig
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import ClassVar
from urllib.parse import urlsplit

HOST = "127.0.0.1"


class ServerError(Exception):
    """A server could not be had; the text ends with what the server itself said."""


class Kind(ABC):
    """What a kind of server is: how it is run and how it is seen to be ready."""

    name: ClassVar[str]
    environment_variable: ClassVar[str]
    image: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    container_port: ClassVar[int]
    container_command: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def url(self, port: int) -> str: ...

    @abstractmethod
    def command(self, port: int) -> Sequence[str]:
        """Give the command that runs it in the foreground, started in its data folder."""

    def reach(self, port: int) -> socket.socket:
        """Give a connection to it, as its clients have one.

        Raises:
            OSError: nobody listens at the port, or not in that way.
        """
        return socket.create_connection((HOST, port), timeout=1)

    @abstractmethod
    def is_ready(self, port: int) -> bool:
        """Tell whether it serves.

        Raises:
            OSError: nobody listens at the port.
        """

    @abstractmethod
    def version(self, url: str) -> str:
        """Give the version of the server that runs there."""

    def container_environment(self, port: int) -> Mapping[str, str]:
        """Give the environment of its container, which is reached by this port."""
        del port
        return {}

    def user(self) -> str | None:
        """Name the user who must run it, where it refuses the present one."""
        return None

    def preparation(self) -> Sequence[str] | None:
        """Give the command that makes what its first start needs, run in its data folder as its user."""
        return None


def port_of(url: str) -> int:
    """Give the port that a URL names."""
    port = urlsplit(url).port
    if port is None:
        raise ServerError(f"expected a URL with a port, found {url}")
    return port


def find_binary(name: str, *folders: str, hint: str) -> str:
    """Give the path of a program: beside this Python, on PATH, or in one of the folders.

    Raises:
        ServerError: it is in none of them; the text says how to get it.
    """
    places = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath), *folders))
    found = shutil.which(name, path=places)
    if found is None:
        raise ServerError(f"expected the program {name}, but found none; {hint}")
    return found


def free_port() -> int:
    """Give a port that nobody listened on a moment ago.

    It lies below the range that the kernel hands out to clients: while a server is down, a client that keeps trying to
    connect could be given the server's own port, and would hold it.
    """
    chance = random.SystemRandom()
    for _ in range(1000):
        with socket.socket() as probe, suppress(OSError):
            port = chance.randrange(20_000, 32_000)
            probe.bind((HOST, port))
            return port
    raise ServerError("expected a free port between 20000 and 32000, but found none in 1000 tries")
