"""Workers: what they serve, as they have announced it."""

from stepbus.projections.api.endpoint import Answer, Call
from stepbus.projections.api.models.workers import AnnouncedWorker, ServedHandler, WorkerList


async def list_workers(call: Call) -> Answer:
    """Give all workers that have announced themselves."""
    found = await call.api.operations.workers()
    shown = (
        AnnouncedWorker(
            worker=each.worker, handlers=tuple(ServedHandler(**handler.model_dump()) for handler in each.handlers)
        )
        for each in found
    )
    return Answer(WorkerList(workers=tuple(shown)))
