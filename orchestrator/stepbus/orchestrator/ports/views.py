"""The tables that projections keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Value = str | int | float | bytes | None


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement with `:name` parameters, in what SQLite and PostgreSQL have in common; run once for each row.

    No rows means: run once, without parameters. A colon that starts no parameter does not occur outside string
    literals.
    """

    sql: str
    rows: Sequence[Mapping[str, Value]] = ()


class ViewStore(Protocol):
    """Tables that projections keep, each projection with its checkpoint in the same transaction as its rows."""

    async def create(self, statements: Sequence[str]) -> None:
        """Run DDL; each statement says IF NOT EXISTS."""
        ...

    async def checkpoint(self, projection: str) -> int:
        """Give the position that the projection's rows stand for, 0 if it has none."""
        ...

    async def apply(self, projection: str, after: int, position: int, statements: Sequence[Statement]) -> None:
        """Commit the rows and the checkpoint together, or neither. `after` is the checkpoint that the rows build on.

        Raises:
            StaleCheckpoint: the checkpoint isn't `after`: another has moved it on or reset it; nothing was changed.
            StoreUnavailable: nothing is known to be stored.
            ValueError: the tables can never hold these rows; nothing was changed.
        """
        ...

    async def reset(self, projection: str, statements: Sequence[Statement]) -> None:
        """Run the statements (which empty the tables) and set the checkpoint to 0, in one transaction."""
        ...

    async def query(self, statement: Statement) -> Sequence[Mapping[str, Any]]:
        """Give the rows of a SELECT as mappings by column; the statement has at most one row of parameters."""
        ...

    async def close(self) -> None:
        """Let go of files and connections."""
        ...
