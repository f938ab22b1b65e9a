"""Making streams and groups: once, by whoever comes first; what exists is looked at and never changed."""

from collections.abc import Mapping, Sequence

from redis.exceptions import RedisError

from stepbus.adapters.redis import scripts
from stepbus.adapters.redis.commands import pack
from stepbus.adapters.redis.connection import Connection
from stepbus.adapters.redis.listener import START
from stepbus.adapters.redis.topology import WORKERS, Names
from stepbus.adapters.redis.wire import Answer, text_of
from stepbus.contracts.problems import Problem, Refused, refuse
from stepbus.orchestrator.ports import BusUnavailable


class BusMismatch(Refused):
    """What exists on the server is not what stepbus needs; mend it there, or take another prefix."""


async def create_streams(connection: Connection, names: Names, queues: Sequence[str]) -> None:
    """Create the streams of a prefix and of these job queues that are not there yet; all of them or none.

    Raises:
        BusMismatch: a key of another type is there.
        BusUnavailable: the server can't create them.
    """
    groups = dict.fromkeys(names.always(), "") | dict.fromkeys(queues, WORKERS)
    command = scripts.PROVISION.call(list(groups), list(groups.values()))
    wrong = await _ask(connection, command, f"to create the streams of {names.prefix}")
    if wrong:
        raise _mismatch([(key.decode(), kind.decode()) for key, kind in wrong])


async def join_group(
    connection: Connection, names: Names, streams: Mapping[str, str], group: str, *, alone: bool
) -> None:
    """Create a group of these streams where it is not yet, from their start on.

    Raises:
        BusMismatch: a key of another type is there.
        Refused: the group must be `alone`, but another is there.
        BusUnavailable: the channels are not provisioned, or the server can't create it.
    """
    command = scripts.JOIN.call([names.mark, *streams], [group, int(alone)])
    answer = await _ask(connection, command, f"to create the group {group}")
    if answer == b"absent":
        raise _absent(names)
    if answer:
        key, kind, other = (part.decode() for part in answer)
        if not other:
            raise _mismatch([(key, kind)])
        raise refuse("channel.group", f"expected {key} to have one group, {group!r}, but it has {other!r}")


async def last_entry(connection: Connection, names: Names, stream: str, *, is_kept: bool) -> bytes:
    """Give the number of the last entry of a stream; one that is not `is_kept` may well not be there.

    Raises:
        BusMismatch: a key of another type is there.
        BusUnavailable: the channels are not provisioned, or the server can't be asked.
    """
    kind = bytes(await _ask(connection, pack("TYPE", stream), f"to hear {stream}")).decode()
    if kind not in {"none", "stream"}:
        raise _mismatch([(stream, kind)])
    if kind == "stream":
        facts = await _ask(connection, pack("XINFO", "STREAM", stream), f"to hear {stream}")
        return bytes(dict(zip(facts[::2], facts[1::2], strict=True))[b"last-generated-id"])
    if is_kept:
        raise _absent(names)
    return START


async def remove_keys(connection: Connection, names: Names) -> None:
    """Delete every key below a prefix.

    Raises:
        BusUnavailable: the server can't be asked, or refuses; some may be gone.
    """
    cursor, what = b"0", f"to delete what is below {names.prefix}"
    while True:
        cursor, keys = await _ask(connection, pack("SCAN", cursor, "MATCH", f"{names.prefix}:*", "COUNT", 1000), what)
        if keys:
            await _ask(connection, pack("UNLINK", *keys), what)
        if cursor == b"0":
            return


async def _ask(connection: Connection, command: bytes, what: str) -> Answer:
    try:
        return await connection.ask(command)
    except RedisError as error:
        raise BusUnavailable(f"expected {what}, but {text_of(error)}") from error


def _absent(names: Names) -> BusUnavailable:
    return BusUnavailable(f"expected the stream {names.mark}, but there is none; provision the bus")


def _mismatch(wrong: Sequence[tuple[str, str]]) -> BusMismatch:
    return BusMismatch(
        [
            Problem(
                code="bus.mismatch", message=f"expected key {key} to be a stream, but it is a {kind}", pointer=f"/{key}"
            )
            for key, kind in wrong
        ]
    )
