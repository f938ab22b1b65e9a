"""The brokers' own clients, with nothing of ours: what an operator has at hand to write a message himself.

On Redis it is the command line's `redis-cli`; the others have none that comes with the server, so it is the library.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import aio_pika
import nats
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

Send = Callable[[str, str, bytes, Mapping[str, str]], Awaitable[None]]
"""Sends a body with headers to an address of the broker at a URL."""


async def to_nats(url: str, address: str, body: bytes, headers: Mapping[str, str]) -> None:
    client = await nats.connect(url)
    await client.jetstream().publish(address, body, headers=dict(headers))
    await client.close()


async def to_rabbitmq(url: str, address: str, body: bytes, headers: Mapping[str, str]) -> None:
    async with await aio_pika.connect(url) as client:
        channel = await client.channel()
        await channel.default_exchange.publish(aio_pika.Message(body, headers=dict(headers)), address)


async def to_kafka(url: str, address: str, body: bytes, headers: Mapping[str, str]) -> None:
    topic, _, last = address.rpartition(".")
    topic, partition = (topic, int(last)) if last.isdecimal() else (address, None)
    async with AIOKafkaProducer(bootstrap_servers=url.removeprefix("kafka://")) as client:
        told = [(name, value.encode()) for name, value in headers.items()]
        await client.send_and_wait(topic, body, b"", partition=partition, headers=told)


async def to_redis(url: str, address: str, body: bytes, headers: Mapping[str, str]) -> None:
    fields = [word for pair in headers.items() for word in pair]
    words = ("redis-cli", "-u", url, "-x", "XADD", address, "*", *fields, "body")
    client = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await client.communicate(body)
    assert client.returncode == 0, said
    assert b"-" in said, said


SENDERS: Mapping[str, Send] = {"nats": to_nats, "rabbitmq": to_rabbitmq, "kafka": to_kafka, "redis": to_redis}
