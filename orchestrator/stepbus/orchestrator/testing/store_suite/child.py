"""A process of its own that works on a log: `python -m stepbus.orchestrator.testing.store_suite.child ROLE URL ...`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import entry_points
from itertools import count
from uuid import UUID, uuid4

from stepbus.orchestrator.ports import Adapter, Append, Appended, EventStore


async def open_by_url(url: str) -> EventStore:
    """Open a log as bootstrap does: by the scheme of its URL."""
    [entry] = entry_points(group="stepbus.adapters", name=url.partition(":")[0])
    adapter: Adapter = entry.load()(url)
    assert adapter.store is not None
    return await adapter.store()


async def write(store: EventStore, amount: str) -> None:
    """Append one record to each of so many new streams, four at a time."""
    for _ in range(int(amount) // 4):
        await asyncio.gather(*(store.append([Append(uuid4(), 0, "task", b"x")]) for _ in range(4)))


async def contend(store: EventStore, stream: str, amount: str) -> None:
    """Append so many records to one stream that others append to as well."""
    stored = 0
    while stored < int(amount):
        version = len(await store.read_stream(UUID(stream)))
        [answer] = await store.append([Append(UUID(stream), version, "task", uuid4().bytes)])
        stored += isinstance(answer, Appended)


async def acknowledge(store: EventStore) -> None:
    """Append for ever, and tell each record once it is acknowledged."""
    for number in count():
        stream = uuid4()
        [answer] = await store.append([Append(stream, 0, "task", b"%d" % number)])
        assert isinstance(answer, Appended)
        say(answer.position, stream)


async def identify(store: EventStore) -> None:
    """Tell the log's identity."""
    identity = await store.identity()
    say(identity.epoch, identity.secret.hex())


def say(*words: object) -> None:
    """Tell the parent a line."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


ROLES: dict[str, Callable[..., Awaitable[None]]] = {
    "acknowledge": acknowledge,
    "contend": contend,
    "identify": identify,
    "write": write,
}


async def main(role: str, url: str, *arguments: str) -> None:
    """Do the work of a role on a log."""
    store = await open_by_url(url)
    await ROLES[role](store, *arguments)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
