"""The kinds of servers: what each runs and when it is ready."""

from tools.servers.kinds.kafka import Kafka
from tools.servers.kinds.kind import HOST, Kind, ServerError, find_binary, free_port
from tools.servers.kinds.nats import Nats
from tools.servers.kinds.postgres import Postgres
from tools.servers.kinds.rabbitmq import RabbitMQ
from tools.servers.kinds.redis import Redis

KINDS: tuple[Kind, ...] = (Nats(), Postgres(), RabbitMQ(), Redis(), Kafka())

__all__ = [
    "HOST",
    "KINDS",
    "Kafka",
    "Kind",
    "Nats",
    "Postgres",
    "RabbitMQ",
    "Redis",
    "ServerError",
    "find_binary",
    "free_port",
]
