"""How the parts are put together: what an adapter offers, and what a role is given."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from stepbus.orchestrator.ports.bus import Bus
from stepbus.orchestrator.ports.log import EventStore
from stepbus.orchestrator.ports.operations import Operations
from stepbus.orchestrator.ports.views import ViewStore


@dataclass(frozen=True, slots=True)
class BusSettings:
    """What every bus is told.

    Shape: `prefix` begins the name of every channel; the results are spread over so many `partitions`. A process that
    gives no sign of life for `session_timeout_s` is taken for gone, and what it holds goes to others, where the broker
    watches for such signs, and as near as it can; 0 leaves it to the adapter, whose URL may say it in any case.
    """

    prefix: str = "stepbus"
    partitions: int = 8
    publish_timeout_s: float = 5.0
    session_timeout_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Adapter:
    """What the package behind a URL scheme offers; None for what it does not.

    Source: the entry points of the group `stepbus.adapters`, each a function from the URL to an `Adapter`.
    """

    store: Callable[[], Awaitable[EventStore]] | None = None
    views: Callable[[], Awaitable[ViewStore]] | None = None
    bus: Callable[[BusSettings], Awaitable[Bus]] | None = None


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Where the API listens. `port` 0 takes a free one; `api_key` is demanded of every request when it is set."""

    host: str = "127.0.0.1"
    port: int = 8300
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a role finds when it starts."""

    store: EventStore
    views: ViewStore
    operations: Operations
    api: ApiSettings


class Role(Protocol):
    """A part of stepbus that runs beside others in one process.

    Source: the entry points of the group `stepbus.roles`, each a function from `Surroundings` to a `Role`.
    """

    async def start(self) -> str:
        """Begin; on return the role does its work. Gives a line to show a person (the API: its URL)."""
        ...

    async def stop(self) -> None:
        """Finish what is in hand and end."""
        ...

    def health(self) -> tuple[bool, str]:
        """Say whether the role does its work, and a detail for a person."""
        ...
