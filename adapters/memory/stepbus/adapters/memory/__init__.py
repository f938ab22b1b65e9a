"""The log, the views and the bus of a single process, in its memory."""

from stepbus.adapters.memory.settings import parse
from stepbus.orchestrator.ports import Adapter, Bus, BusSettings, EventStore, ViewStore


def connect(url: str) -> Adapter:
    """Give what `memory:name` offers. Each opening makes an empty store and empty views; buses of one name are joined.

    Raises:
        Refused: the URL is not one of this adapter's.
    """
    name = parse(url)

    async def store() -> EventStore:
        from stepbus.adapters.memory.store import MemoryLog
        from stepbus.adapters.recorders.store import open_store

        return await open_store(MemoryLog)

    async def views() -> ViewStore:
        from stepbus.adapters.memory.views import open_tables
        from stepbus.adapters.recorders.views import open_views

        return await open_views(open_tables, one_thread=True)

    async def bus(settings: BusSettings) -> Bus:
        from stepbus.adapters.memory.bus import MemoryBus, shared_broker

        return MemoryBus(settings, shared_broker(name))

    return Adapter(store=store, views=views, bus=bus)
