"""What crosses the bus while a worker is tried: the jobs that were sent, and the messages that came back."""

from dataclasses import dataclass, field
from typing import Any

from stepbus.contracts import codec
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import Delivery

ENDINGS = ("step.completed", "step.failed")
HEARTBEAT = "step.heartbeat"


@dataclass(slots=True, eq=False)
class Job:
    """A job as it was sent. `answers` is the channel that its answers must go to; `times` is how often it was sent."""

    scenario: str
    event: dict[str, Any]
    answers: str
    value: Any
    sent_at_s: float
    times: int = 0

    @property
    def id(self) -> str:
        return str(self.event["id"])

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.event["data"]
        return data

    @property
    def task_id(self) -> str:
        return str(self.data["task_id"])

    @property
    def timeout_s(self) -> float:
        return float(self.data["timeout_ms"]) / 1000


@dataclass(slots=True, eq=False)
class Heard:
    """A message of a worker, whatever is wrong with it. `event` is None where it is no JSON; `problem` says why."""

    channel: str
    body: bytes
    at_s: float
    event: Any = field(init=False, default=None)
    problem: str = field(init=False, default="")

    def __post_init__(self) -> None:
        """Read what can be read."""
        try:
            self.event = codec.decode(self.body, len(self.body))
        except Refused as refused:
            self.problem = str(refused)

    @classmethod
    def of(cls, delivery: Delivery, at_s: float) -> "Heard":
        """Give the message of a delivery."""
        return cls(delivery.channel, delivery.body, at_s)

    @property
    def type(self) -> Any:
        return self.attribute("type")

    @property
    def data(self) -> dict[str, Any]:
        """Give the data as far as it is an object."""
        data = self.attribute("data")
        return data if isinstance(data, dict) else {}

    @property
    def error(self) -> dict[str, Any]:
        """Give the error as far as it is an object."""
        error = self.data.get("error")
        return error if isinstance(error, dict) else {}

    def attribute(self, name: str) -> Any:
        """Give an attribute of the envelope; None if it is not there."""
        return self.event.get(name) if isinstance(self.event, dict) else None

    def concerns(self, job: Job) -> bool:
        """Say whether anything in it tells that it is about this job: so one wrong value hides no answer."""
        return (
            self.data.get("task_id") == job.task_id
            or self.data.get("token") == job.data.get("token", "")
            or self.attribute("causationid") == job.id
            or self.attribute("partitionkey") == job.task_id
        )
