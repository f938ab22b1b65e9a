"""Real servers for tests, benchmarks and trying out: the same code, wherever they run.

Where a server runs is found out once for all kinds: at a URL that the environment names, in a container where a Docker
engine answers, else as a process of this machine with a free port and a data folder of its own. A server that cannot
be had is an error. `python -m tools.servers` starts one of each kind.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from tools.servers.kinds import KINDS, Kafka, Kind, Nats, Postgres, RabbitMQ, Redis, ServerError
from tools.servers.places import ContainerServer, GivenServer, LocalServer, Server, docker_answers

__all__ = [
    "KINDS",
    "Kafka",
    "Kind",
    "Nats",
    "Postgres",
    "RabbitMQ",
    "Redis",
    "Server",
    "ServerError",
    "local_server",
    "nats_server",
    "own_server",
    "postgres_server",
    "server",
]


@contextmanager
def server(kind: Kind) -> Iterator[Server]:
    """Give a running server: the one that the environment names, else one of our own."""
    url = os.environ.get(kind.environment_variable)
    if url:
        yield GivenServer(kind, url)
    else:
        with own_server(kind) as own:
            yield own


@contextmanager
def own_server(kind: Kind) -> Iterator[Server]:
    """Give a running server that nobody else uses, to be killed and started at will; its data goes with it."""
    with _started(ContainerServer(kind) if docker_answers() else LocalServer(kind)) as own:
        yield own


@contextmanager
def local_server(kind: Kind) -> Iterator[Server]:
    """Give one as `own_server` does, but a process of this machine always: its kind needs files of this machine."""
    with _started(LocalServer(kind)) as own:
        yield own


@contextmanager
def _started(own: ContainerServer | LocalServer) -> Iterator[Server]:
    try:
        own.start()
        yield own
    finally:
        own.discard()


def nats_server() -> AbstractContextManager[Server]:
    return server(Nats())


def postgres_server() -> AbstractContextManager[Server]:
    return server(Postgres())
