"""Puts stepbus together from its settings: the one place that knows which adapter stands behind which port.

Adapters and roles are found by entry point, so that nothing here is imported that the settings do not ask for.
"""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from stepbus.contracts.problems import refuse
from stepbus.orchestrator.bootstrap.settings import Settings, masked
from stepbus.orchestrator.ports import (
    Adapter,
    ApiSettings,
    Bus,
    BusSettings,
    EventStore,
    Role,
    Surroundings,
    ViewStore,
)
from stepbus.orchestrator.runtime.coordinator import RoundLimits
from stepbus.orchestrator.runtime.leased import LeasedRole
from stepbus.orchestrator.runtime.ownership import PROJECTIONS, LeaseTimes
from stepbus.orchestrator.runtime.serve import Limits, Serving

ROLES = ("coordinator", "projections", "api")
_OF_ONE_PROCESS = ("memory:", "sqlite:")
"""Stores of which one process has all for itself: a memory, or the files of a folder that it has locked."""


class RebuiltView(Protocol):
    """A view before and after it was made anew: equal digests mean equal rows, now at this position."""

    name: str
    position: int
    rows: int
    digest_before: str
    digest_after: str


Rebuilder = Callable[[EventStore, ViewStore], Awaitable[Sequence[RebuiltView]]]


class EmbeddedServer(Protocol):
    """A broker that runs as a child of this process."""

    url: str

    @property
    def pid(self) -> int | None:
        """Give the process that runs now."""
        ...

    async def start(self) -> None:
        """Begin; on return it can be connected to."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...


@dataclass(slots=True)
class Running:
    """What a person may want to know of a process that serves; `bus_url` is without its password."""

    serving: Serving
    bus_url: str
    lines: list[str] = field(default_factory=list)
    api_url: str | None = None

    async def stopped(self) -> None:
        """Return when a part has ended that should run for ever."""
        tasks = [part.task for part in self.serving.parts.values() if part.task is not None]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


@asynccontextmanager
async def running(settings: Settings, roles: Sequence[str]) -> AsyncIterator[Running]:
    """Run these roles until the block is left; then drain.

    Raises:
        Refused: a role or a URL that nothing answers to, or a data folder that another process serves from.
        StoreUnavailable, BusUnavailable: the store or the broker can't be reached.
    """
    for role in roles:
        if role not in ROLES:
            raise refuse("settings.role", f"expected roles among {', '.join(ROLES)}, found {role!r}")
    async with AsyncExitStack() as stack:
        if settings.store.startswith("sqlite:"):
            settings.data.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_alone_in(settings.data))
        embedded = asyncio.ensure_future(_embedded(settings, stack)) if settings.bus == "embedded" else None
        if embedded is not None:
            stack.callback(embedded.cancel)  # a broker that is still starting when something else fails
        store = await stack.enter_async_context(opened_store(settings))
        views = await stack.enter_async_context(opened_views(settings))
        makers = {name: _role_maker(name) for name in ROLES[1:] if name in roles}  # imported while the broker starts
        bus_url = settings.bus if embedded is None else await embedded
        is_shared = not settings.store.startswith(_OF_ONE_PROCESS)
        gone_after_s = LeaseTimes().lasts_s if is_shared and "coordinator" in roles else 0.0
        bus = await stack.enter_async_context(opened_bus(settings, bus_url, gone_after_s))
        serving = await Serving.open(store, bus, settings.partitions, settings.environment, _limits(settings))
        if is_shared:
            serving.share(settings.partitions if "coordinator" in roles else 0)
        if "coordinator" in roles:
            await serving.coordinate()
        serving.begin()
        stack.push_async_callback(serving.drain)
        found = Running(serving, masked(bus_url))
        surroundings = Surroundings(store, views, serving.desk, _api(settings))
        for name, make in makers.items():
            line = await serving.add(name, _shared(serving, name, partial(make, surroundings)))
            found.lines.append(line)
            found.api_url = line if name == "api" else found.api_url
        yield found


@asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[EventStore]:
    """Give the log that the settings name, open for the length of the block."""
    factory = _adapter(settings.store).store
    if factory is None:
        raise refuse(
            "settings.store",
            f"expected the URL of a store, found {_scheme(settings.store)}:, which keeps no log",
            "/store",
        )
    store = await factory()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def opened_views(settings: Settings) -> AsyncIterator[ViewStore]:
    """Give the views beside the log that the settings name, open for the length of the block."""
    factory = _adapter(settings.store).views
    if factory is None:
        raise refuse(
            "settings.store",
            f"expected the URL of a store, found {_scheme(settings.store)}:, which keeps no views",
            "/store",
        )
    views = await factory()
    try:
        yield views
    finally:
        await views.close()


def views_rebuilder() -> Rebuilder:
    """Give the function that builds all views anew from the log."""
    (entry,) = entry_points(group="stepbus.views", name="rebuild")
    rebuild: Rebuilder = entry.load()
    return rebuild


@asynccontextmanager
async def opened_bus(settings: Settings, url: str, session_timeout_s: float = 0.0) -> AsyncIterator[Bus]:
    """Give the bus behind the URL, with the prefix and so on of the settings, open for the length of the block."""
    factory = _adapter(url).bus
    if factory is None:
        raise refuse(
            "settings.bus", f"expected the URL of a bus, found {_scheme(url)}:, which carries no messages", "/bus"
        )
    told = BusSettings(settings.prefix, settings.partitions, settings.publish_timeout_s, session_timeout_s)
    bus = await factory(told)
    try:
        yield bus
    finally:
        await bus.close()


async def _embedded(settings: Settings, stack: AsyncExitStack) -> str:
    """Start the embedded broker if there is one, and give its URL; else the bus within this process."""
    server = embedded_server(settings.data / "nats", settings.nats_port)
    if server is None:
        return "memory:dev"
    await server.start()
    stack.push_async_callback(server.stop)
    return server.url


def embedded_server(folder: Path, port: int = 0) -> EmbeddedServer | None:
    """Give a broker that keeps its files in the folder, not started yet; None where none is installed."""
    try:
        make: Callable[[Path, int], EmbeddedServer] = next(iter(entry_points(group="stepbus.embedded"))).load()
    except (StopIteration, ImportError):
        return None
    return make(folder, port)


def _shared(serving: Serving, name: str, make: Callable[[], Role]) -> Role:
    """Give a role; where several processes share the log, projections as one that only one of them has at a time."""
    if serving.ownership is None or name != PROJECTIONS:
        return make()
    return LeasedRole(serving.ownership.sole(PROJECTIONS), make)


def _adapter(url: str) -> Adapter:
    scheme = _scheme(url)
    known = entry_points(group="stepbus.adapters")
    if scheme not in known.names:
        raise refuse(
            "settings.url", f"expected a URL that begins with one of {', '.join(sorted(known.names))}, found {scheme!r}"
        )
    try:
        connect: Callable[[str], Adapter] = known[scheme].load()
        return connect(url)
    except ImportError as error:
        message = f"expected the packages of {scheme}: to be installed (pip install 'stepbus[{scheme}]'), but {error}"
        raise refuse("settings.not_installed", message) from error


def _scheme(url: str) -> str:
    return url.partition(":")[0]


def _role_maker(name: str) -> Callable[[Surroundings], Role]:
    (entry,) = entry_points(group="stepbus.roles", name=name)
    make: Callable[[Surroundings], Role] = entry.load()
    return make


def _api(settings: Settings) -> ApiSettings:
    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    return ApiSettings(settings.api_host, settings.api_port, key)


def _limits(settings: Settings) -> Limits:
    rounds = RoundLimits(settings.round_limit, settings.round_wait_ms / 1000)
    return Limits(
        round=rounds,
        cache_tasks=settings.cache_tasks,
        passivate_after_s=settings.passivate_after_s,
        backlog_limit=settings.backlog_limit,
        drain_timeout_s=settings.drain_timeout_s,
    )


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock for the length of the block: one process serves from it at a time."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = f"expected no other process to serve from {folder}, but one does; stop it or take another"
            raise refuse("settings.data_in_use", message, "/data") from error
        yield
