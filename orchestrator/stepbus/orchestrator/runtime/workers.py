"""What each worker said last that it serves: a fold of the streams of workers, one for each name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from uuid import UUID, uuid5

from stepbus.contracts import codec
from stepbus.contracts import events as e
from stepbus.contracts.messages import ServedHandler
from stepbus.orchestrator.ports import EventStore

_BATCH: Final = 500


def worker_stream(tenant: str, worker: str) -> UUID:
    """Give the stream of the worker of this name."""
    return uuid5(e.STREAMS, f"{tenant}/worker/{worker}")


class Announced(NamedTuple):
    """What a worker said last. `version` counts what was kept of it."""

    version: int
    worker: str
    handlers: tuple[ServedHandler, ...]


class Workers:
    """The workers that have announced themselves, as of the last `refresh`."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._position = 0
        self._by_stream: dict[UUID, Announced] = {}

    async def refresh(self) -> None:
        """Take in what was announced since the last time, to whichever process."""
        while records := await self._store.read(self._position, _BATCH, e.WORKER):
            for stored in records:
                for event in e.decode_record(stored.data).events:
                    if isinstance(event, e.WorkerAnnounced):
                        self._by_stream[stored.stream] = Announced(stored.version, event.worker, event.handlers)
            self._position = records[-1].position

    def find(self, stream: UUID) -> Announced | None:
        """Give what the worker of a stream said last; None if it never said a word."""
        return self._by_stream.get(stream)

    def says_the_same(self, stream: UUID, handlers: tuple[ServedHandler, ...]) -> bool:
        """Say whether these handlers are what the worker of a stream said last."""
        before = self._by_stream.get(stream)
        return before is not None and _written(before.handlers) == _written(handlers)

    @property
    def all(self) -> Mapping[UUID, Announced]:
        """Give what each has said last, by its stream."""
        return MappingProxyType(self._by_stream)


def _written(handlers: tuple[ServedHandler, ...]) -> list[bytes]:
    """Give what tells apart what Python holds for equal, as 1 and true in a schema."""
    return sorted(codec.canonical(served.model_dump(mode="json")) for served in handlers)
