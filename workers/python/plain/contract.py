"""What a worker reads and writes: a job, its answer, and what is said of a message that is no job."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

MAX_MESSAGE_BYTES = 262_144
CONTRACT_VERSION = 1
_KEPT_BYTES = 700 * 1024  # of a message that is no job; four thirds of it as base64, which brokers take
_CARRIED = ("correlationid", "tenant", "traceparent")
_TEXTS = ("task_id", "step", "handler", "idempotency_key", "replyto", "token")
_NUMBERS = ("attempt", "timeout_ms")


class Poison(Exception):
    """A message that is no job. It will be none however often it is delivered."""

    def __init__(self, code: str, pointer: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.pointer, self.reason = code, pointer, reason


class Failed(Exception):
    """How a handler says that it failed. `retry_after` is in seconds."""

    def __init__(
        self, code: str, message: str = "", *, retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message[:4096], "retryable": retryable}
        if retry_after is not None:
            self.error["retry_after"] = retry_after


@dataclass(frozen=True)
class Job:
    """One attempt of one step: its envelope, and its data as `step.requested` has it. Unknown fields are let be."""

    envelope: dict[str, Any]
    data: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, int]:
        return self.data["task_id"], self.data["step"], self.data["attempt"]

    @property
    def context(self) -> dict[str, Any]:
        context: dict[str, Any] = self.data["inputs"]["context"]
        return context

    @property
    def timeout_s(self) -> float:
        return float(self.data["timeout_ms"]) / 1000


@dataclass(frozen=True)
class Message:
    """What is sent, under its own id however often it is sent."""

    address: str
    id: str
    body: bytes


def read_job(body: bytes, results: str) -> Job:
    """Give the job that a message asks for; its token goes to addresses in `results` only.

    Raises:
        Poison: it asks for none.
    """
    try:
        event = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise Poison("json.malformed", "", f"expected JSON, but {error}") from error
    if not isinstance(event, dict) or event.get("specversion") != "1.0" or not isinstance(event.get("id"), str):
        raise Poison("envelope.invalid", "/specversion", "expected a CloudEvent of specversion 1.0 with an id")
    if event.get("type") != "step.requested":
        raise Poison("message.unknown_type", "/type", "expected step.requested")
    data = event.get("data")
    if not isinstance(data, dict):
        raise Poison("message.missing", "/data", "expected an object")
    for name in _TEXTS:
        _demand(isinstance(data.get(name), str) and data[name], f"/data/{name}", "a text")
    for name in _NUMBERS:
        _demand(type(data.get(name)) is int and data[name] > 0, f"/data/{name}", "a whole number of at least 1")
    inputs = data.get("inputs")
    for name in ("context", "results"):
        _demand(isinstance(inputs, dict) and isinstance(inputs.get(name), dict), f"/data/inputs/{name}", "an object")
    if not data["replyto"].startswith(results):
        raise Poison("message.replyto", "/data/replyto", f"expected an address in {results}")
    return Job(event, data)


def answer(job: Job, worker: str, kind: str, **said: Any) -> Message:
    """Give a message about a job, for where the job asks for it.

    Raises:
        Failed: no message can carry it.
    """
    echoed = {name: job.data[name] for name in ("task_id", "step", "attempt", "token")}
    carried = {name: job.envelope[name] for name in _CARRIED if name in job.envelope}
    attributes = {"partitionkey": job.data["task_id"], "causationid": job.envelope["id"], **carried}
    message = _message(job.data["replyto"], kind, {**echoed, "worker": worker, **said}, attributes)
    if len(message.body) > MAX_MESSAGE_BYTES:
        found = f"expected at most {MAX_MESSAGE_BYTES} bytes, found {len(message.body)}"
        raise Failed("worker.result_too_large", found)
    return message


def quarantined(prefix: str, queue: str, body: bytes, poison: Poison) -> Message:
    """Ask the coordinators to keep a message that nobody can act on, for an operator to see."""
    data = {
        "message_id": str(uuid4()),
        "channel": f"jobs.{queue}",
        "code": poison.code,
        "pointer": poison.pointer,
        "reason": poison.reason,
        "body": base64.b64encode(body[:_KEPT_BYTES]).decode(),
    }
    return _message(f"{prefix}.results.0", "message.quarantined", data, {})


def announcement(prefix: str, worker: str, handlers: Sequence[str]) -> Message:
    """Say what a worker serves, so that mistakes are found before a task runs into them."""
    served = [{"handler": name, "contract": CONTRACT_VERSION} for name in handlers]
    return _message(f"{prefix}.tasks", "worker.announced", {"worker": worker, "handlers": served}, {})


def _message(address: str, kind: str, data: dict[str, Any], attributes: dict[str, Any]) -> Message:
    event = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/stepbus/worker",
        "type": kind,
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        **attributes,
        "data": data,
    }
    try:
        return Message(address, str(event["id"]), json.dumps(event, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise Failed("worker.result_invalid", f"expected JSON, but {error}") from error


def _demand(holds: object, pointer: str, expected: str) -> None:
    if not holds:
        raise Poison("message.invalid", pointer, f"expected {expected}")
