"""Workers, by what they have announced."""

from stepbus.contracts.messages import JsonSchema
from stepbus.projections.api.models.shape import Shown


class ServedHandler(Shown):
    """A handler that a worker serves; `contract` is the version of `step.requested` that it understands."""

    handler: str
    contract: int
    input_schema: JsonSchema = None
    result_schema: JsonSchema = None
    error_schema: JsonSchema = None


class AnnouncedWorker(Shown):
    """A worker, and what it said last that it serves."""

    worker: str
    handlers: tuple[ServedHandler, ...]


class WorkerList(Shown):
    """All workers that have announced themselves and are not gone for good, by name."""

    workers: tuple[AnnouncedWorker, ...]
