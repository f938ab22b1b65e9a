"""Records given, rows expected: a log with what happened, and the views that projections make of it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.contracts.template import TaskTemplate, from_mapping
from stepbus.orchestrator.ports import Append, Appended, EventStore, Statement, StoredRecord, Value, ViewStore
from stepbus.projections.feed import Feed
from stepbus.projections.follow import Follower
from stepbus.projections.projection import Projection
from tests.support.api import opened

TASK = UUID("018f4e7a-0000-7000-8000-000000000001")
OTHER_TASK = UUID("018f4e7a-0000-7000-8000-000000000002")
WORKER = "worker/w-1"

DIAMOND = from_mapping(
    {
        "name": "diamond",
        "namespace": "shop",
        "version": "1.0.0",
        "steps": [
            {"name": "begin", "queue": "fast"},
            {"name": "left", "depends_on": ["begin"]},
            {"name": "right", "depends_on": ["begin"], "skippable": True},
            {"name": "end", "depends_on": ["left", "right"], "retry": {"max_attempts": 5}},
        ],
    }
)


def registered(template: TaskTemplate = DIAMOND) -> e.TemplateRegistered:
    return e.TemplateRegistered(
        namespace=template.namespace,
        name=template.name,
        version=template.version,
        template_hash=template.hash,
        template=template.canonical(),
    )


def accepted(template: TaskTemplate = DIAMOND, **fields: Any) -> e.TaskAccepted:
    return e.TaskAccepted(
        namespace=template.namespace,
        name=template.name,
        version=template.version,
        template_hash=template.hash,
        context=fields.pop("context", {}),
        request_id="request-1",
        **fields,
    )


def dispatched(step: str, attempt: int = 1, due: int = 9_000) -> e.StepDispatched:
    return e.StepDispatched(step=step, attempt=attempt, deadline_at_ms=due)


def completed(step: str, attempt: int = 1, result: Any = None) -> e.StepCompleted:
    return e.StepCompleted(step=step, attempt=attempt, result=result)


class Projected:
    """A log and views over it. Time goes by a millisecond a record, from 1000 on."""

    def __init__(self, store: EventStore, views: ViewStore) -> None:
        self.store = store
        self.views = views
        self.feed = Feed(store, pace_s=0)
        self._versions: dict[UUID, tuple[int, int]] = {}

    async def given(
        self,
        *events: e.Event,
        stream: UUID = TASK,
        category: str = e.TASK,
        actor: str = "coordinator",
        at_ms: int | None = None,
    ) -> int:
        """Let these have happened in one record, and give its position."""
        version, count = self._versions.get(stream, (0, 0))
        at_ms = 1000 + await self.store.head() if at_ms is None else at_ms
        meta = e.Metadata(at_ms=at_ms, actor=actor, correlation_id="correlation", causation_id="cause")
        record = e.Record(first=count + 1, meta=meta, events=events)
        (appended,) = await self.store.append([Append(stream, version, category, e.encode_record(record))])
        assert isinstance(appended, Appended)
        self._versions[stream] = (version + 1, count + len(events))
        return appended.position

    async def copy(self, stored: StoredRecord) -> None:
        """Let this record of another log have happened here too."""
        append = Append(stored.stream, stored.version - 1, stored.category, stored.data)
        (appended,) = await self.store.append([append])
        assert appended == Appended(stored.position)

    async def given_template(self, template: TaskTemplate = DIAMOND) -> int:
        return await self.given(registered(template), stream=e.CATALOGUE_STREAM, category=e.CATALOGUE)

    def follower(self, projection: Projection) -> Follower:
        return Follower(projection, self.feed, self.views)

    async def when(self, *projections: Projection) -> None:
        """Let these projections come to the end of the log."""
        for projection in projections:
            await self.views.create(projection.ddl)
            await self.follower(projection).catch_up(await self.store.head())

    async def rows(self, sql: str, **parameters: Value) -> Sequence[Mapping[str, Any]]:
        return await self.views.query(Statement(sql, (parameters,) if parameters else ()))

    async def row(self, sql: str, **parameters: Value) -> Mapping[str, Any]:
        (found,) = await self.rows(sql, **parameters)
        return found


@asynccontextmanager
async def projected(url: str = "memory:") -> AsyncIterator[Projected]:
    """Give an empty log and empty views in this database."""
    async with AsyncExitStack() as stack:
        store, views = await opened(url, stack)
        found = Projected(store, views)
        stack.push_async_callback(found.feed.close)
        yield found
