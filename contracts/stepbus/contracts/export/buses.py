"""What each bus calls the channels, and what AsyncAPI says of them there.

Source: AsyncAPI 3.0.0, and its bindings for Kafka 0.5.0, AMQP 0.3.0, NATS 0.1.0 and Redis.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

BusName = Literal["nats", "kafka", "rabbitmq", "redis", "memory"]

Binding = Mapping[str, Any]
_DAYS_MS: Final = {"quarantine": 30 * 86_400_000, "replies": 3_600_000}
_WORK: Final = frozenset({"tasks", "jobs", "results"})


@dataclass(frozen=True, slots=True)
class BusWords:
    """How one bus is described.

    Shape: `security` are the kinds of security that its adapter knows, by the names of AsyncAPI. The bindings are of a
    channel (its kind, its address, how many partitions the results have), of what is done with it, and of a message.
    """

    protocol: str
    version: str
    host: str
    separator: str
    security: Mapping[str, Mapping[str, str]]
    channel: Callable[[str, str, int], Binding]
    operation: Callable[[str, str], Binding]
    message: Callable[[str], Binding]

    def address(self, prefix: str, kind: str, name: str = "") -> str:
        """Give the address of a channel; `name` is what is behind its kind."""
        return self.separator.join(filter(None, (prefix, kind, name)))


def _nothing(*_: Any) -> Binding:
    return {}


def _nats_operation(kind: str, address: str) -> Binding:
    group = address if kind == "jobs" else "coordinator"
    return {"nats": {"queue": group, "bindingVersion": "0.1.0"}} if kind in _WORK else {}


def _kafka_channel(kind: str, address: str, partitions: int) -> Binding:
    kept_ms = _DAYS_MS.get(kind, 7 * 86_400_000)
    described: dict[str, Any] = {"topic": _kafka_topic(kind, address), "bindingVersion": "0.5.0"}
    if kind not in {"tasks", "jobs"}:
        described["partitions"] = partitions if kind == "results" else 1
    described["topicConfiguration"] = {"cleanup.policy": ["delete"], "retention.ms": kept_ms}
    return {"kafka": described}


def _kafka_topic(kind: str, address: str) -> str:
    """Give the topic: answers and replies have one for all, with the partition or the key to tell them apart."""
    return address.rpartition(".")[0] if kind in {"results", "replies"} else address


def _kafka_operation(kind: str, address: str) -> Binding:
    if kind not in _WORK:
        return {}
    topic = _kafka_topic(kind, address)
    group = topic if kind == "jobs" else f"{topic}.coordinator"
    return {"kafka": {"groupId": {"type": "string", "enum": [group]}, "bindingVersion": "0.5.0"}}


def _kafka_message(_: str) -> Binding:
    key = {"type": "string", "description": "of a task, its id"}
    return {"kafka": {"key": key, "bindingVersion": "0.5.0"}}


def _amqp_channel(kind: str, address: str, _: int) -> Binding:
    is_reply = kind == "replies"
    queue = {"name": address, "durable": not is_reply, "exclusive": is_reply, "autoDelete": is_reply, "vhost": "/"}
    return {"amqp": {"is": "queue", "queue": queue, "bindingVersion": "0.3.0"}}


def _amqp_operation(kind: str, _: str) -> Binding:
    return {"amqp": {"deliveryMode": 1 if kind == "replies" else 2, "ack": True, "bindingVersion": "0.3.0"}}


def _amqp_message(message_type: str) -> Binding:
    return {"amqp": {"contentEncoding": "utf-8", "messageType": message_type, "bindingVersion": "0.3.0"}}


def _redis(*_: Any) -> Binding:
    return {"redis": {}}


_PASSWORD: Final = {"password": {"type": "userPassword", "description": "a user and a password"}}
_CERTIFICATE: Final = {"certificate": {"type": "X509", "description": "a client's certificate, over TLS"}}
_SASL: Final = {
    "plain": {"type": "plain", "description": "SASL/PLAIN"},
    "scram256": {"type": "scramSha256", "description": "SASL/SCRAM-SHA-256"},
    "scram512": {"type": "scramSha512", "description": "SASL/SCRAM-SHA-512"},
}

BUSES: Final[Mapping[BusName, BusWords]] = {
    "nats": BusWords("nats", "2", "localhost:4222", ".", _PASSWORD | _CERTIFICATE, _nothing, _nats_operation, _nothing),
    "kafka": BusWords("kafka", "3", "localhost:9092", ".", _SASL, _kafka_channel, _kafka_operation, _kafka_message),
    "rabbitmq": BusWords(
        "amqp", "0-9-1", "localhost:5672", ".", _PASSWORD, _amqp_channel, _amqp_operation, _amqp_message
    ),
    "redis": BusWords("redis", "3", "localhost:6379", ":", _PASSWORD, _redis, _redis, _redis),
    "memory": BusWords("memory", "1", "localhost", ".", {}, _nothing, _nothing, _nothing),
}
"""By the name of the bus, how it is described."""
