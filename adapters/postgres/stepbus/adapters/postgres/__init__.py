"""The log and the views in a PostgreSQL database, for as many processes as you like."""

from stepbus.adapters.postgres.settings import parse
from stepbus.orchestrator.ports import Adapter, EventStore, ViewStore


def connect(url: str) -> Adapter:
    """Give the store and the views in a database; psycopg is imported when one of them is opened.

    Raises:
        Refused: the URL is not one of this adapter's.
    """
    settings = parse(url)

    async def store() -> EventStore:
        from stepbus.adapters.postgres.log import open_log
        from stepbus.adapters.recorders.store import open_store

        return await open_store(lambda: open_log(settings))

    async def views() -> ViewStore:
        from stepbus.adapters.postgres.views import open_tables
        from stepbus.adapters.recorders.views import open_views

        return await open_views(lambda: open_tables(settings))

    return Adapter(store=store, views=views)
