"""What is to be measured: one workload on one bus and one store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

WorkerKind = Literal["bare", "library"]

MEMORY = "memory"
NATS = "nats"
SQLITE = "sqlite"
USUAL_PLACES = {
    "kafka": "kafka://127.0.0.1:9092",
    "rabbitmq": "amqp://guest:guest@127.0.0.1:5672/",
    "redis": "redis://127.0.0.1:6379",
}
"""Where a broker of this machine is that nobody has moved, by the name of its kind."""

_SHORTEST = 0.1
_KINDS = {"amqp": "rabbitmq", "amqps": "rabbitmq", "rediss": "redis", "tls": "nats"}


class Plan(BaseModel):
    """All that a measurement is told.

    Shape: `bus` is `memory`, `nats` (a server of our own) or a broker's URL; `store` is `sqlite` or a database's URL;
    a fresh folder or schema is made in it. `settings` go to the coordinator. `scale` shrinks the workload. The runs
    are cut to end within `budget_s`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workload: str
    bus: str = MEMORY
    store: str = SQLITE
    worker: WorkerKind = "bare"
    workers: int = 1
    coordinators: int = 1
    runs: int = 5
    scale: float = 1.0
    views: bool = False
    floor: bool = True
    folder: Path
    settings: Mapping[str, Any] = {}
    budget_s: float = 50.0

    @property
    def time_scale(self) -> float:
        """Give the share of its usual time that a stretch of time has."""
        return max(self.scale, _SHORTEST)

    @property
    def is_embedded(self) -> bool:
        """Say whether coordinator, workers and client share one process."""
        return self.bus == MEMORY

    @property
    def bus_kind(self) -> str:
        """Give the kind of the bus, without its place."""
        kind = self.bus.partition(":")[0]
        return _KINDS.get(kind, kind)

    @property
    def store_kind(self) -> str:
        """Give the kind of the store, without its place."""
        return store_kind(self.store)


def store_kind(store: str) -> str:
    """Give the kind of a store from its URL or name."""
    kind = store.partition(":")[0]
    return "postgres" if kind == "postgresql" else kind
