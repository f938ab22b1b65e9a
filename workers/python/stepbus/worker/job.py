"""A job as it arrives, and the entry that keeps a message that is none.

A message that is no valid job stays so however often it is delivered: it is handed to the coordinators, whole and with
the reason, and is acked. They put it into quarantine, where operators find it. What a newer coordinator adds to a job
is let be.
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from pydantic import ValidationError

from stepbus.contracts import envelope
from stepbus.contracts.codec import MAX_CARRIED_DEPTH
from stepbus.contracts.envelope import CloudEvent
from stepbus.contracts.events import STREAMS
from stepbus.contracts.messages import QuarantineEntry, StepRequested
from stepbus.contracts.problems import Refused, refuse
from stepbus.contracts.validation import problems_of
from stepbus.orchestrator.ports import Bus, Delivery, Outgoing

if TYPE_CHECKING:
    from datetime import datetime

_ENTRIES = "results.0"  # the partition that is always there
_PARTITION = re.compile(r"[0-9]{1,5}$")
_KEPT_BYTES = 700 * 1024  # four thirds of it as base64, which every broker takes


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt to be made. `answers` is the channel that its answer goes to."""

    request: StepRequested
    envelope: CloudEvent
    answers: str

    @property
    def key(self) -> tuple[UUID, str, int]:
        """Give what two deliveries of one attempt have in common."""
        return (self.request.task_id, self.request.step, self.request.attempt)


class Reader:
    """Reads jobs, and finds the channel behind the address of their answers."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._channels: dict[str, str] = {}

    def read(self, delivery: Delivery) -> Job:
        """Give the job that a message asks for.

        Raises:
            Refused: it is no job, and will be none when it is delivered again.
        """
        event = envelope.read(delivery.body, delivery.headers, len(delivery.body), MAX_CARRIED_DEPTH)
        if event.type != StepRequested.TYPE:
            raise refuse("message.unknown_type", f"expected {StepRequested.TYPE}, found {event.type[:200]!r}", "/type")
        try:
            request = StepRequested.model_validate(event.data)
        except ValidationError as error:
            raise Refused(problems_of(error, "message", "/data")) from error
        return Job(request, event, self._channels.get(request.replyto) or self._find_channel(request.replyto))

    def _find_channel(self, address: str) -> str:
        """Give the channel of an address, which must be one of results: a token is sent nowhere else."""
        partition = _PARTITION.search(address)
        if partition is not None:
            channel = f"results.{int(partition[0])}"
            if self._bus.address(channel) == address:
                self._channels[address] = channel
                return channel
        raise refuse("message.replyto", f"expected an address of answers, found {address[:200]!r}", "/data/replyto")


def quarantined(source: str, delivery: Delivery, refused: Refused, now: "datetime") -> Outgoing:
    """Give what asks the coordinators to quarantine a message; the same one makes the same entry. A huge one is cut."""
    entry_id = uuid5(STREAMS, f"quarantine/{delivery.channel}/{sha256(delivery.body).hexdigest()}")
    first = refused.problems[0]
    kept = delivery.body[:_KEPT_BYTES]
    cut = "" if len(kept) == len(delivery.body) else f" (kept are {len(kept)} of its {len(delivery.body)} bytes)"
    entry = QuarantineEntry(
        message_id=entry_id,
        channel=delivery.channel,
        code=first.code,
        pointer=first.pointer,
        reason=first.message + cut,
        body=b64encode(kept).decode(),
    )
    event = CloudEvent(
        id=str(entry_id),
        source=source,
        type=entry.TYPE,
        time=now,
        dataschema=entry.dataschema(),
        data=entry.model_dump(mode="json"),
    )
    return Outgoing(_ENTRIES, event.id, envelope.write(event), event.id)
