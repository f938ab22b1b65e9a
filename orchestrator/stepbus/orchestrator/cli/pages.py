"""Listings that the API gives in pages, as one."""

from typing import Annotated, Any

import typer

from stepbus.orchestrator.cli.remote import Api

_PAGE = 200

Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many.")]


def all_of(api: Api, path: str, member: str, limit: int | None, **parameters: Any) -> dict[str, Any]:
    """Give the first `limit` entries of a listing, or all of them, as one page.

    Shape: as the API's own page; `next_cursor` is null if nothing follows.
    """
    found: list[Any] = []
    cursor = None
    while True:
        wanted = _PAGE if limit is None else min(_PAGE, limit - len(found))
        page = api.get(path, cursor=cursor, limit=wanted, **parameters)
        found += page[member]
        cursor = page["next_cursor"]
        if cursor is None or (limit is not None and len(found) >= limit):
            return page | {member: found}
