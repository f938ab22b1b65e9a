"""The tasks that run now, by the template that each keeps: a fold of the log, made when it is first asked for."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from stepbus.contracts import events as e
from stepbus.orchestrator.ports import EventStore

_BATCH: Final = 1_000
_ENDS: Final = (e.TaskCompleted, e.TaskCancelled, e.TaskResolvedManually)


class OpenTasks:
    """Counts tasks that have not ended. One that failed is open again when it is reopened.

    The first look reads the whole log; each further one, what came since.
    """

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._position = 0
        self._running: dict[int, str] = {}
        self._failed: dict[int, str] = {}

    async def by_template(self) -> Mapping[str, int]:
        """Give how many run of each template, by its hash."""
        while records := await self._store.read(self._position, _BATCH, e.TASK):
            for stored in records:
                for event in e.decode_record(stored.data).events:
                    self._absorb(stored.stream.int, event)
            self._position = records[-1].position
        return Counter(self._running.values())

    def _absorb(self, task: int, event: e.Event) -> None:
        if isinstance(event, e.TaskAccepted):
            self._running[task] = event.template_hash
        elif isinstance(event, e.TaskReopened):
            self._move(task, self._failed, self._running)
        elif isinstance(event, e.TaskFailed):
            self._move(task, self._running, self._failed)
        elif isinstance(event, _ENDS):
            self._running.pop(task, None)
            self._failed.pop(task, None)

    def _move(self, task: int, whence: dict[int, str], to: dict[int, str]) -> None:
        template = whence.pop(task, None)
        if template is not None:
            to[task] = template
