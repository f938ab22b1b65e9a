"""Making streams and consumers: once, by whoever comes first; what exists is looked at and never changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from stepbus.adapters.nats.api import ApiError, JetStreamApi
from stepbus.adapters.nats.topology import (
    CONSUMER_MUSTS,
    STREAM_MUSTS,
    STREAMS,
    ConsumerPlace,
    Names,
    consumer_config,
    stream_config,
)
from stepbus.contracts.problems import Problem, Refused, refuse
from stepbus.orchestrator.ports import BusUnavailable


class BusMismatch(Refused):
    """What exists on the server is not what stepbus needs; mend it there, or take another prefix."""


async def create_streams(api: JetStreamApi, names: Names, replicas: int) -> None:
    """Create the streams of a prefix that are not there yet.

    Raises:
        BusMismatch: one of another make is there.
        BusUnavailable: the server can't create them.
    """
    for kind in STREAMS:
        config = stream_config(names, kind, replicas)
        name = config["name"]
        try:
            await api.ask(f"STREAM.CREATE.{name}", config)
        except ApiError as error:
            if error.code == ApiError.STREAM_OVERLAPS:
                problem = f"expected no other stream to take {config['subjects'][0]}, but one does: {error}"
                raise BusMismatch([Problem(code="bus.mismatch", message=problem, pointer=f"/{name}")]) from error
            if error.code != ApiError.STREAM_DIFFERS:
                raise BusUnavailable(f"expected the stream {name} to be created, but {error}") from error
            found = (await api.ask(f"STREAM.INFO.{name}"))["config"]
            _compare("stream", name, config, found, STREAM_MUSTS)


async def delete_streams(api: JetStreamApi, names: Names) -> None:
    """Delete the streams of a prefix, with their consumers and messages.

    Raises:
        BusUnavailable: the server can't delete them.
    """
    for kind in STREAMS:
        try:
            await api.ask(f"STREAM.DELETE.{names.stream(kind)}")
        except ApiError as error:
            if error.code != ApiError.STREAM_NOT_FOUND:
                raise BusUnavailable(f"expected {names.stream(kind)} to be deleted, but {error}") from error


async def create_consumer(api: JetStreamApi, place: ConsumerPlace, ack_wait_s: float) -> Mapping[str, Any]:
    """Create a consumer if it is not there yet; give the configuration that it has.

    Raises:
        BusMismatch: one of another make is there.
        Refused: another consumer is given the same messages.
        BusUnavailable: its stream is not there, or the server can't create it.
    """
    config = consumer_config(place, ack_wait_s)
    request = {"stream_name": place.stream, "config": config, "action": "create"}
    try:
        return dict((await api.ask(f"CONSUMER.CREATE.{place.stream}.{place.name}.{place.subject}", request))["config"])
    except ApiError as error:
        if error.code == ApiError.STREAM_NOT_FOUND:
            raise BusUnavailable(f"expected the stream {place.stream}, but there is none; provision the bus") from None
        if error.code in {ApiError.CONSUMER_NOT_ALONE, ApiError.CONSUMER_OVERLAPS}:
            message = f"expected {place.subject} to have one group, but it has one that is not {place.name!r}"
            raise refuse("channel.group", message) from None
        if error.code != ApiError.CONSUMER_DIFFERS:
            raise BusUnavailable(f"expected the consumer {place.name} to be created, but {error}") from error
    found = dict((await api.ask(f"CONSUMER.INFO.{place.stream}.{place.name}"))["config"])
    _compare("consumer", f"{place.stream}/{place.name}", config, found, CONSUMER_MUSTS)
    return found


async def take_partition(api: JetStreamApi, place: ConsumerPlace, group: str, ack_wait_s: float) -> Mapping[str, Any]:
    """Create the consumer of a partition anew: what another reader has un-acked there comes to the next one at once.

    A reader of all partitions is put an end to: the stream allows no two consumers of one message.

    Raises:
        Refused: another group reads them.
        BusUnavailable: the stream is not there, or the server can't create it.
    """
    await _remove(api, place.stream, place.name)
    try:
        return await create_consumer(api, place, ack_wait_s)
    except BusMismatch:
        raise
    except Refused:
        await _remove(api, place.stream, group)
        return await create_consumer(api, place, ack_wait_s)


async def take_all_partitions(
    api: JetStreamApi, place: ConsumerPlace, group: str, ack_wait_s: float
) -> Mapping[str, Any]:
    """Create the consumer of all partitions if it is not there yet, in place of those of single ones.

    Raises:
        Refused: another group reads them.
        BusUnavailable: the stream is not there, or the server can't create it.
    """
    try:
        return await create_consumer(api, place, ack_wait_s)
    except BusMismatch:
        raise
    except Refused:
        names = (await api.ask(f"CONSUMER.NAMES.{place.stream}"))["consumers"] or ()
        for name in names:
            if name.startswith(f"{group}-") and name.removeprefix(f"{group}-").isdecimal():
                await _remove(api, place.stream, name)
        return await create_consumer(api, place, ack_wait_s)


async def _remove(api: JetStreamApi, stream: str, consumer: str) -> None:
    try:
        await api.ask(f"CONSUMER.DELETE.{stream}.{consumer}")
    except ApiError as error:
        if error.code == ApiError.STREAM_NOT_FOUND:
            raise BusUnavailable(f"expected the stream {stream}, but there is none; provision the bus") from None
        if error.code != ApiError.CONSUMER_NOT_FOUND:
            raise BusUnavailable(f"expected to take over the consumer {consumer}, but {error}") from error


def _compare(kind: str, name: str, expected: Mapping[str, Any], found: Mapping[str, Any], musts: Sequence[str]) -> None:
    problems = [
        Problem(
            code="bus.mismatch",
            message=f"expected {kind} {name} to have {must} {expected[must]!r}, but it has {found.get(must)!r}",
            pointer=f"/{name}/{must}",
        )
        for must in musts
        if found.get(must, -1 if must == "max_deliver" else None) != expected[must]
    ]
    if problems:
        raise BusMismatch(problems)
