"""The catalogue: asked often, read from the log seldom, and never behind what this process knows."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.contracts.problems import Problem
from stepbus.contracts.template import from_mapping
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.ports import EventStore, StoredRecord
from stepbus.orchestrator.runtime.catalogue import FRESH_S, Catalogue
from tests.support import projected
from tests.support.logs import write
from tests.support.world import memory_store


class Counted:
    """A store that counts how often it is read."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read_stream(self, stream: UUID, after: int = 0) -> Sequence[StoredRecord]:
        """Read, and count it."""
        self.reads += 1
        return await self._store.read_stream(stream, after)


class Clock:
    """Time that passes when it is told to."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def registration(version: str) -> e.TemplateRegistered:
    return projected.registered(from_mapping({"name": "order", "version": version, "steps": [{"name": "only"}]}))


async def registered(store: EventStore, version: str) -> None:
    """Have another process register a version."""
    await write(store, e.CATALOGUE_STREAM, e.CATALOGUE, [registration(version)])


async def version_of(catalogue: Catalogue, version: str | None = None) -> str:
    plan = await catalogue.find("default", "order", version)
    assert isinstance(plan, Plan)
    return plan.template.version


async def test_the_highest_version_is_the_highest_by_precedence_and_not_the_last() -> None:
    store = await memory_store()
    for version in ("1.9.0", "1.10.0", "1.10.0-rc.1", "1.2.0"):
        await registered(store, version)
    assert await version_of(Catalogue(store)) == "1.10.0"


async def test_who_asks_again_and_again_is_answered_without_the_log() -> None:
    store = Counted(await memory_store())
    await registered(store, "1.0.0")
    catalogue = Catalogue(store, now_s=Clock())
    await version_of(catalogue)
    store.reads = 0
    for _ in range(10):
        await version_of(catalogue)
    assert store.reads == 0


async def test_a_higher_version_of_another_process_is_seen_after_a_moment() -> None:
    store, clock = await memory_store(), Clock()
    await registered(store, "1.0.0")
    catalogue = Catalogue(store, now_s=clock)
    assert await version_of(catalogue) == "1.0.0"
    await registered(store, "1.1.0")
    assert await version_of(catalogue) == "1.0.0"
    clock.now_s += FRESH_S
    assert await version_of(catalogue) == "1.1.0"


async def test_a_version_asked_for_by_its_name_is_seen_at_once() -> None:
    store = await memory_store()
    await registered(store, "1.0.0")
    catalogue = Catalogue(store, now_s=Clock())
    await version_of(catalogue)
    await registered(store, "1.1.0")
    assert await version_of(catalogue, "1.1.0") == "1.1.0"


async def test_what_this_process_registered_is_seen_at_once() -> None:
    store = await memory_store()
    await registered(store, "1.0.0")
    catalogue = Catalogue(store, now_s=Clock())
    await version_of(catalogue)
    meta = e.decode_record((await store.read_stream(e.CATALOGUE_STREAM))[0].data).meta
    catalogue.absorb(2, e.Record(2, meta, (registration("1.1.0"),)))
    assert await version_of(catalogue) == "1.1.0"


async def test_nothing_is_called_unknown_before_the_log_was_asked() -> None:
    store = await memory_store()
    catalogue = Catalogue(store, now_s=Clock())
    unknown = await catalogue.find("default", "order", None)
    assert isinstance(unknown, Problem)
    assert (unknown.code, unknown.pointer) == ("template.unknown", "/template")
    await registered(store, "1.0.0")
    assert await version_of(catalogue) == "1.0.0"
