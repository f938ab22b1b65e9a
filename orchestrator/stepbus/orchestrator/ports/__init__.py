"""What the orchestrator needs of the world, and what it offers to those who stand at its edge.

Each sentence of a port's docstring is a promise with a test in `stepbus.orchestrator.testing`. Adapters translate
words; they decide nothing.
"""

from stepbus.orchestrator.ports.bus import Bus, Delivery, NotSent, Outgoing, Removable, Sent, Subscription
from stepbus.orchestrator.ports.ending import end_tasks
from stepbus.orchestrator.ports.errors import BusUnavailable, StaleCheckpoint, StoreUnavailable
from stepbus.orchestrator.ports.log import (
    Append,
    Appended,
    EventStore,
    Lease,
    LogIdentity,
    Snapshot,
    StoredRecord,
    VersionConflict,
)
from stepbus.orchestrator.ports.operations import Denied, Done, LiveState, Operations
from stepbus.orchestrator.ports.parts import Adapter, ApiSettings, BusSettings, Role, Surroundings
from stepbus.orchestrator.ports.views import Statement, Value, ViewStore

__all__ = [
    "Adapter",
    "ApiSettings",
    "Append",
    "Appended",
    "Bus",
    "BusSettings",
    "BusUnavailable",
    "Delivery",
    "Denied",
    "Done",
    "EventStore",
    "Lease",
    "LiveState",
    "LogIdentity",
    "NotSent",
    "Operations",
    "Outgoing",
    "Removable",
    "Role",
    "Sent",
    "Snapshot",
    "StaleCheckpoint",
    "Statement",
    "StoreUnavailable",
    "StoredRecord",
    "Subscription",
    "Surroundings",
    "Value",
    "VersionConflict",
    "ViewStore",
    "end_tasks",
]
