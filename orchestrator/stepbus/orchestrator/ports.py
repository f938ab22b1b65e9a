"""What the orchestrator needs of the world, and what it offers to those who stand at its edge.

Each sentence of a port's docstring is a promise with a test in `stepbus.orchestrator.testing`. Adapters translate words;
they decide nothing.

```
StoreUnavailable(Exception)   nothing is known to be stored: reload and decide again
BusUnavailable(Exception)     nothing is known to be sent: send it again, under the same id
StaleCheckpoint(Exception)    somebody else has moved this checkpoint on: read it again
```
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from stepbus.contracts.messages import TaskRequested
from stepbus.contracts.problems import Problem


class StoreUnavailable(Exception):  # noqa: N818 - says what is so, as the port's docstring does
    """Nothing is known to be stored; reload the streams and decide again."""


class BusUnavailable(Exception):  # noqa: N818
    """Nothing is known to be sent; send it again under the same id."""


class StaleCheckpoint(Exception):  # noqa: N818
    """The checkpoint doesn't stand where the caller believed; read it again and go on from there."""


# --- the log -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Append:
    """One record to be added to one stream. `expected` is the version the stream has now: 0 for a new one."""

    stream: UUID
    expected: int
    category: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Appended:
    """The record is in the log, durably, at this position."""

    position: int


@dataclass(frozen=True, slots=True)
class VersionConflict:
    """The stream has moved on: it holds `found` records where `expected` were expected."""

    stream: UUID
    expected: int
    found: int

    def __str__(self) -> str:
        """Say what was expected and what was found."""
        return f"expected stream {self.stream} to hold {self.expected} records, but it holds {self.found}"


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record of the log. `version` counts the records of its stream from 1; `position` orders the whole log."""

    position: int
    stream: UUID
    version: int
    category: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A fold of a stream's first `version` records. Never the truth: it may be absent, or old."""

    version: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """Made with the log, and different for every log. `secret` (32 bytes) signs the tokens of jobs."""

    epoch: str
    secret: bytes = field(repr=False)


class EventStore(Protocol):
    """The log: streams of records in one total order.

    Guarantee: what `append` returned as `Appended` is durable; positions rise in commit order, and whoever reads up to a
    position has seen every record that will ever stand before it (no gap is filled later). Safe to call from many asyncio
    tasks at once; calls that meet are committed together. No method blocks the event loop.
    """

    async def identity(self) -> LogIdentity:
        """Give what this log is known by; the same after every restart."""
        ...

    async def append(self, batches: Sequence[Append]) -> Sequence[Appended | VersionConflict]:
        """Commit all batches in one transaction, answer in their order; one whose stream moved on is refused alone.

        Guarantee: a batch that is already stored at its place with the same bytes is `Appended` where it stands, so an
        append whose answer was lost can be repeated. Two batches of one call may follow each other in one stream.

        Raises:
            StoreUnavailable: nothing is known to be stored; reload the streams and decide again.
        """
        ...

    async def read_stream(self, stream: UUID, after: int = 0) -> Sequence[StoredRecord]:
        """Give the records of one stream with a version above `after`, in order; none for a stream that is not there."""
        ...

    async def read(self, after: int, limit: int, category: str | None = None) -> Sequence[StoredRecord]:
        """Give up to `limit` records with a position above `after`, in order, of one category or of all."""
        ...

    async def head(self) -> int:
        """Give the position of the last record, 0 for an empty log."""
        ...

    async def wait(self, after: int, timeout_s: float) -> int:
        """Give the head as soon as it is above `after`, or when the time has passed. A commit by any process is seen."""
        ...

    async def now_ms(self) -> int:
        """Give the store's clock, in milliseconds since the Unix epoch. All coordinators of one log share it."""
        ...

    async def checkpoint(self, reader: str) -> int:
        """Give how far a reader has come, 0 if it never said."""
        ...

    async def save_checkpoint(self, reader: str, position: int) -> None:
        """Keep how far a reader has come. A lower position than the kept one changes nothing."""
        ...

    async def snapshot(self, stream: UUID) -> Snapshot | None:
        """Give the newest snapshot of a stream."""
        ...

    async def save_snapshot(self, stream: UUID, snapshot: Snapshot) -> None:
        """Keep this snapshot in place of an older one."""
        ...

    async def close(self) -> None:
        """Finish the appends that were begun, and let go of files and connections."""
        ...


# --- the views ---------------------------------------------------------------------------------------------------------

Value = str | int | float | bytes | None


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement with `:name` parameters, in what SQLite and PostgreSQL have in common; run once for each row.

    No rows means: run once, without parameters. A colon that starts no parameter does not occur outside string literals.
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


# --- the bus -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be sent. Two with one `id` on one channel are the same message; `key` keeps those of a task together."""

    channel: str
    id: str
    body: bytes
    key: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """The broker has confirmed that it holds the message."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """The broker did not confirm: the message may be there or not. `permanent` says that trying again will not help."""

    reason: str
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in hand. `count` is how often it was delivered, from 1; `receipt` is the adapter's own."""

    channel: str
    body: bytes
    headers: Mapping[str, str]
    count: int
    receipt: Any = field(repr=False, default=None)


class Subscription(Protocol):
    """The messages of one channel, shared by all who subscribe under the same group.

    Guarantee: each message is delivered at least once, and again until it is acked; in the order sent, but for redelivery.
    """

    async def receive(self, limit: int, timeout_s: float) -> Sequence[Delivery]:
        """Give up to `limit` messages as soon as there is one; none if the time has passed or the broker is away."""
        ...

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Say that these are done with. A lost ack means a redelivery, never an error."""
        ...

    async def nack(self, delivery: Delivery, delay_s: float = 0) -> None:
        """Give it back, to be delivered again after the delay."""
        ...

    async def extend(self, delivery: Delivery) -> None:
        """Say that it is still being worked on, so that it is not delivered to another yet."""
        ...

    async def close(self) -> None:
        """Stop receiving, and give back at once what was fetched and not handed out."""
        ...


class Bus(Protocol):
    """Channels named in our words: `tasks`, `jobs.<queue>`, `results.<partition>`, `events`, `quarantine`.

    A subscription may name `results.*`. Reconnects for ever: while the broker is away, `publish` answers `NotSent` and
    `receive` gives nothing.
    """

    async def provision(self, queues: Sequence[str] = ()) -> None:
        """Create what the channels and these job queues need, if it is not there yet. Changes nothing that exists."""
        ...

    async def publish(self, messages: Sequence[Outgoing]) -> Sequence[Sent | NotSent]:
        """Send all, and answer for each in order, within `publish_timeout_s`: confirmed or not, never neither.

        A message that is over the broker's limit, or to a channel that cannot exist, is `NotSent` and permanent.
        """
        ...

    def address(self, channel: str) -> str:
        """Give the channel in the broker's own words, for a plain client to send to."""
        ...

    def reply_channel(self, address: str) -> str | None:
        """Give the channel to reach a client's reply address by; None if this is no place that a reply may go to."""
        ...

    async def subscribe(self, channel: str, group: str = "coordinator", in_hand: int = 1000) -> Subscription:
        """Share the channel's messages with the group; at most `in_hand` are out un-acked. Nothing sent before is missed."""
        ...

    async def listen(self, channel: str, *, from_start: bool) -> Subscription:
        """Hear all that is said on `events` or `quarantine` alone, from what is kept of it or from now on. Acks are moot."""
        ...

    async def connected(self) -> bool:
        """Say whether the broker can be reached now."""
        ...

    async def close(self) -> None:
        """Let go of the connection; what was published before has been answered for."""
        ...


# --- what the edge may ask for -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done:
    """It is in the log. `position` is the record's, to read your own write by; `id` names what it was done to."""

    id: UUID
    position: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """It was refused, for all of these reasons; nothing was changed. `kind` is `invalid`, `missing` or `conflict`."""

    problems: Sequence[Problem]
    kind: str = "invalid"


@dataclass(frozen=True, slots=True)
class LiveState:
    """Where a task stands in the coordinator's memory: records and events folded, and the SHA-256 of the state."""

    version: int
    events: int
    digest: str


class Operations(Protocol):
    """What a person or a program may ask of the orchestrator. Whatever is `Done` is in the log when it is answered."""

    async def submit(self, request: TaskRequested, request_id: str, actor: str) -> Done | Denied:
        """Accept a task. The same `task_id` or `idempotency_key` again is `Done` with `repeated`, and makes no second task."""
        ...

    async def cancel(self, task_id: UUID, reason: str, actor: str) -> Done | Denied:
        """Stop a task."""
        ...

    async def retry(self, task_id: UUID, step: str, reason: str, actor: str) -> Done | Denied:
        """Give a step that failed for good another attempt, or dispatch now one that waits for its retry."""
        ...

    async def resolve_step(self, task_id: UUID, step: str, result: Any, reason: str, actor: str) -> Done | Denied:
        """Declare a step done, with this result."""
        ...

    async def resolve_task(self, task_id: UUID, reason: str, actor: str) -> Done | Denied:
        """Declare a task done, whatever its steps say."""
        ...

    async def register(self, template: Mapping[str, Any], actor: str) -> Done | Denied:
        """Register a template, given as the parsed document. The same content again is `Done` with `repeated`."""
        ...

    async def resubmit(self, message_id: UUID, actor: str) -> Done | Denied:
        """Send a quarantined message through again."""
        ...

    async def live_state(self, task_id: UUID) -> LiveState | None:
        """Give where a task stands in memory, loading it if need be; None for an unknown task."""
        ...

    async def health(self) -> Mapping[str, Any]:
        """Say how each part is: `{"ready": bool, "parts": {name: {"ok": bool, "detail": str}}}`."""
        ...


# --- how the parts are put together ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BusSettings:
    """What every bus is told: the prefix of all channels, into how many the results are spread, how long a confirm may take."""

    prefix: str = "stepbus"
    partitions: int = 8
    publish_timeout_s: float = 5.0


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
