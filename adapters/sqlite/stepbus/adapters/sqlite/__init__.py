"""The log and the views in two SQLite files, for everything in one process (or few, on one machine)."""

from stepbus.adapters.sqlite.settings import parse
from stepbus.orchestrator.ports import Adapter, EventStore, ViewStore


def connect(url: str) -> Adapter:
    """Give the store and the views at `sqlite:///folder/log.db`; SQLite is imported when one of them is opened.

    Raises:
        Refused: the URL is not one of this adapter's.
    """
    settings = parse(url)

    async def store() -> EventStore:
        from stepbus.adapters.recorders.store import open_store
        from stepbus.adapters.sqlite.log import open_log

        return await open_store(lambda: open_log(settings.log, settings.busy_timeout_s))

    async def views() -> ViewStore:
        from stepbus.adapters.recorders.views import open_views
        from stepbus.adapters.sqlite.views import open_tables

        return await open_views(lambda: open_tables(settings.views, settings.busy_timeout_s))

    return Adapter(store=store, views=views)
