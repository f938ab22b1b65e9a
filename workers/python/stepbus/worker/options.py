"""How a worker is set up."""

import os
import socket
from dataclasses import dataclass, field

DEFAULT_URL = "nats://127.0.0.1:4222"
_MAX_NAME = 256  # of Answer.worker in the contract


def own_name() -> str:
    """Give a name that tells this process from others."""
    return f"{socket.gethostname()}-{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Options:
    """What a worker is told.

    Shape: `name` stands in every answer; `concurrency` is how many handlers run at once; `max_deliveries` is how often
    a job may be delivered before it is answered as failed instead of run: it may be what kills its workers;
    `extend_every_s` is how often the bus is told that jobs are still worked on, a third of the 30 s that the contract
    gives for an ack.
    """

    url: str = DEFAULT_URL
    prefix: str = "stepbus"
    name: str = field(default_factory=own_name)
    concurrency: int = 16
    grace_s: float = 30.0
    max_deliveries: int = 10
    extend_every_s: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what can't work."""
        if not 1 <= len(self.name) <= _MAX_NAME:
            raise ValueError(f"expected a name of 1 to {_MAX_NAME} characters, found {len(self.name)}")
        for name in ("concurrency", "max_deliveries"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of 1 or more, found {getattr(self, name)}")
        if self.extend_every_s <= 0:
            raise ValueError(f"expected extend_every_s above 0, found {self.extend_every_s}")
        if self.grace_s < 0:
            raise ValueError(f"expected a grace of 0 or more seconds, found {self.grace_s}")
