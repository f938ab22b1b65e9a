"""Views made anew from the log, and the digest that shows whether two are the same."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from stepbus.contracts import codec
from stepbus.orchestrator.ports import EventStore, Statement, Value, ViewStore
from stepbus.projections.feed import Feed
from stepbus.projections.follow import Follower
from stepbus.projections.projection import Projection, Table
from stepbus.projections.views import PROJECTIONS, projections_named

_PAGE = 2000


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A view before and after. `position` is where it stands now; equal digests mean equal rows."""

    name: str
    position: int
    rows: int
    digest_before: str
    digest_after: str


@dataclass(frozen=True, slots=True)
class Digest:
    """The number of rows of a view, and a SHA-256 of them that doesn't depend on the database or the order."""

    rows: int
    sha256: str


async def rebuild_all(store: EventStore, views: ViewStore, names: Sequence[str] = ()) -> Sequence[Rebuilt]:
    """Make the named views anew, or all of them, from the first record to the last there is now.

    A projection that runs meanwhile goes on from wherever the rebuild has come to; readers see the view fill up again.

    Raises:
        Refused: there is no view of that name.
        NotApplicable: a record can't be applied; the view stands for all that came before it.
        StoreUnavailable: begin again.
    """
    chosen = projections_named(names) if names else PROJECTIONS
    before = [await _emptied(views, projection) for projection in chosen]
    feed = Feed(store)
    followers = [Follower(projection, feed, views) for projection in chosen]
    head = await store.head()
    try:
        # Together, so that the log is read and decoded once; each ends before an error is raised.
        ends = await asyncio.gather(*(follower.catch_up(head) for follower in followers), return_exceptions=True)
    finally:
        await feed.close()
    for error in ends:
        if error is not None:
            raise error
    return [await _rebuilt(views, follower, was) for follower, was in zip(followers, before, strict=True)]


async def _emptied(views: ViewStore, projection: Projection) -> Digest:
    """Empty a view, and give what it was."""
    await views.create(projection.ddl)
    before = await digest(views, projection)
    await views.reset(projection.name, projection.emptying)
    return before


async def _rebuilt(views: ViewStore, follower: Follower, before: Digest) -> Rebuilt:
    after = await digest(views, follower.projection)
    return Rebuilt(follower.projection.name, follower.position, after.rows, before.sha256, after.sha256)


async def digest(views: ViewStore, projection: Projection) -> Digest:
    """Give the digest of a view: the SHA-256 of the sorted SHA-256s of its rows, each with the name of its table."""
    hashes = [
        sha256(codec.encode([table.name, dict(row)])).digest()
        for table in projection.tables
        async for row in _rows(views, table)
    ]
    hashes.sort()
    return Digest(len(hashes), sha256(b"".join(hashes)).hexdigest())


async def _rows(views: ViewStore, table: Table) -> AsyncIterator[Any]:
    order = ", ".join(table.key)
    places = ", ".join(f":{column}" for column in table.key)
    first = f"SELECT * FROM {table.name} ORDER BY {order} LIMIT {_PAGE}"  # noqa: S608 - names from our own tables
    following = f"SELECT * FROM {table.name} WHERE ({order}) > ({places}) ORDER BY {order} LIMIT {_PAGE}"  # noqa: S608
    page = await views.query(Statement(first))
    while page:
        for row in page:
            yield row
        after: dict[str, Value] = {column: page[-1][column] for column in table.key}
        page = await views.query(Statement(following, (after,))) if len(page) == _PAGE else ()
