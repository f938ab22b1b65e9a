"""Connections that belong to threads: each thread opens its own, keeps it, and throws it away when it has failed."""

from collections.abc import Callable
from threading import Lock, local
from typing import Generic, TypeVar

Connection = TypeVar("Connection")


class OwnConnections(Generic[Connection]):
    """One connection for each thread that asks. No lock is held while a connection is used."""

    def __init__(self, connect: Callable[[], Connection], close: Callable[[Connection], None]) -> None:
        self._connect = connect
        self._close = close
        self._own = local()
        self._all: list[Connection] = []
        self._gate = Lock()

    def get(self) -> Connection:
        """Give the connection of the calling thread; the first call opens it."""
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._connect()
            self._own.connection = connection
            with self._gate:
                self._all.append(connection)
        return connection

    def drop(self) -> None:
        """Close the connection of the calling thread; the next `get` opens another."""
        connection: Connection | None = getattr(self._own, "connection", None)
        if connection is not None:
            self._own.connection = None
            with self._gate:
                if connection in self._all:
                    self._all.remove(connection)
            self._close(connection)

    def close_all(self) -> None:
        """Close every thread's connection. To be called when no thread uses its own any more."""
        with self._gate:
            connections, self._all = self._all, []
        for connection in connections:
            self._close(connection)
