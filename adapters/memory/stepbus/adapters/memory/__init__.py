"""The log, the views and the bus of a single process, in its memory."""

from stepbus.adapters.memory.settings import parse
from stepbus.orchestrator.ports import Adapter, EventStore, ViewStore


def connect(url: str) -> Adapter:
    """Give the store and the views of `memory:`. Each opening makes empty ones.

    Raises:
        Refused: the URL is not one of this adapter's.
    """
    parse(url)

    async def store() -> EventStore:
        from stepbus.adapters.memory.store import MemoryLog
        from stepbus.adapters.recorders.store import open_store

        return await open_store(MemoryLog)

    async def views() -> ViewStore:
        from stepbus.adapters.memory.views import open_tables
        from stepbus.adapters.recorders.views import open_views

        return await open_views(open_tables, one_thread=True)

    return Adapter(store=store, views=views)
