"""A projection: a pure function from records of the log to SQL statements, and the tables it keeps.

A runner reads the log once, decodes each record once, and lets every projection turn the same entries into statements
of its own, which it commits together with its own checkpoint. So a projection can be rebuilt, or fall behind, alone.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from stepbus.contracts import codec
from stepbus.contracts.events import Event, Metadata, decode_record
from stepbus.orchestrator.ports import Statement, StoredRecord, Value

Row = Mapping[str, Value]


class NotApplicable(Exception):
    """A record can't be applied to a view: upgrade or mend the projection, then start it again; nothing was skipped."""

    def __init__(self, position: int, reason: str) -> None:
        self.position = position
        self.reason = reason
        super().__init__(f"stopped at position {position}: {reason}")


class Fact(NamedTuple):
    """One event, where it stands.

    Shape: `sequence` is its place in its history and `record_index` in the record at `position`, which counts from 0;
    `version` counts the records of the stream.
    """

    event: Event
    meta: Metadata
    stream: str
    version: int
    position: int
    record_index: int
    sequence: int


def facts_of(stored: StoredRecord) -> tuple[Fact, ...]:
    """Give the events of a record, in order.

    Raises:
        Refused: the record was written by a newer release, or is damaged.
    """
    record = decode_record(stored.data)
    stream = str(stored.stream)
    first, meta, events = record
    version, position = stored.version, stored.position
    return tuple([Fact(event, meta, stream, version, position, n, first + n) for n, event in enumerate(events)])


class Entry:
    """One record of the log, decoded when the first projection asks for its facts, and then once for all of them."""

    __slots__ = ("_facts", "category", "position", "stored")

    def __init__(self, stored: StoredRecord) -> None:
        self.position = stored.position
        self.category = stored.category
        self.stored = stored
        self._facts: tuple[Fact, ...] | None = None

    @property
    def facts(self) -> tuple[Fact, ...]:
        """Give the events of the record, in order.

        Raises:
            Refused: the record was written by a newer release, or is damaged.
        """
        facts = self._facts
        if facts is None:
            facts = self._facts = facts_of(self.stored)
        return facts


class Batch:
    """Statements in few groups: those about one key stay in their order, those about different keys may change places.

    So the rows of many tasks go into one run of a statement, while the steps of one task happen one after the other.
    A group is a statement at a level: what is added about a key stands a level above what was added about it before,
    or beside it where it is the same statement.
    """

    def __init__(self) -> None:
        self._groups: defaultdict[tuple[int, str], list[Row]] = defaultdict(list)
        self._last: dict[str, tuple[int, str]] = {}
        self._floor = 0

    def add(self, key: str, sql: str, row: Row) -> None:
        """Add a row about `key`."""
        group = self._last.get(key)
        if group is None:
            group = self._last[key] = (self._floor, sql)
        elif group[1] != sql:
            group = self._last[key] = (group[0] + 1, sql)
        self._groups[group].append(row)

    def barrier(self) -> None:
        """Let what follows happen after all that was added so far, whatever its key."""
        self._floor = 1 + max((level for level, _ in self._groups), default=-1)
        self._last.clear()

    @property
    def statements(self) -> Sequence[Statement]:
        """Give what was added."""
        levels = sorted(self._groups, key=itemgetter(0))
        return [Statement(group[1], self._groups[group]) for group in levels]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a view. `key` names the columns that tell its rows apart; its primary key is on them."""

    name: str
    key: tuple[str, ...]
    ddl: tuple[str, ...]


Handler = Callable[[Fact, Any, Batch], None]
Change = Callable[[Entry, Batch], None]


def by_event(handlers: Mapping[type[Event], Handler]) -> Change:
    """Give the change that each event makes by the handler of its type; an event that has none changes nothing."""

    def change(entry: Entry, batch: Batch) -> None:
        for fact in entry.facts:
            handler = handlers.get(type(fact.event))
            if handler is not None:
                handler(fact, fact.event, batch)

    return change


@dataclass(frozen=True, slots=True)
class Projection:
    """What a view keeps and how it comes about: `change` adds what one record of these categories does to its rows."""

    name: str
    categories: frozenset[str]
    tables: tuple[Table, ...]
    change: Change

    @property
    def ddl(self) -> tuple[str, ...]:
        """Give the statements that create the tables where they aren't there yet."""
        return tuple(statement for table in self.tables for statement in table.ddl)

    @property
    def emptying(self) -> tuple[Statement, ...]:
        """Give the statements that empty the tables."""
        return tuple(Statement(f"DELETE FROM {table.name}") for table in self.tables)  # noqa: S608 - our own names

    def statements(self, entries: Iterable[Entry]) -> Sequence[Statement]:
        """Give what the entries change in the view.

        Raises:
            NotApplicable: one of them can't be applied; it names the position.
        """
        batch = Batch()
        for entry in entries:
            if entry.category not in self.categories:
                continue
            try:
                self.change(entry, batch)
            except Exception as error:
                raise NotApplicable(entry.position, f"{type(error).__name__}: {error}") from error
        return batch.statements


def inserting(table: str, *columns: str) -> str:
    """Give the statement that adds a row with a parameter for each column, of the column's name."""
    parameters = ", ".join(f":{column}" for column in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({parameters})"  # noqa: S608 - our own names


def updating(table: str, key: Sequence[str], assignments: str) -> str:
    """Give the statement that changes the row of a key; each column of it is a parameter of that name."""
    found = " AND ".join(f"{column} = :{column}" for column in key)
    return f"UPDATE {table} SET {assignments} WHERE {found}"  # noqa: S608 - our own names


def json_text(value: Any) -> str:
    """Give the canonical JSON of a value, as it stands in a column."""
    return codec.encode(value).decode()


def worker_of(meta: Metadata) -> str | None:
    """Give the name of the worker whose answer the record is, None if it is no worker's."""
    return _worker_named(meta.actor)


@lru_cache(maxsize=1_000)
def _worker_named(actor: str) -> str | None:
    kind, _, name = actor.partition("/")
    return name if kind == "worker" else None
