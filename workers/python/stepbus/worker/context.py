"""What a handler can know of the attempt that it runs, and tell of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from stepbus.contracts.envelope import CloudEvent
from stepbus.contracts.messages import StepRequested

_LOGGER = logging.getLogger("stepbus.worker.handler")


class Context:
    """One attempt of one step. A handler's parameter with this annotation receives it.

    Shape: `envelope` is the CloudEvent that the job came in (`tenant`, `correlationid`, `traceparent`); `state` is what
    the worker's lifespan gave.
    """

    def __init__(
        self,
        job: StepRequested,
        envelope: CloudEvent,
        beat: Callable[[Any], Awaitable[None]],
        state: Any = None,
    ) -> None:
        self._job = job
        self._beat = beat
        self._loop = asyncio.get_running_loop()
        self._is_cancelled = False
        self.envelope = envelope
        self.state = state
        self.deadline = self._loop.time() + self.timeout_s

    @property
    def task_id(self) -> UUID:
        return self._job.task_id

    @property
    def step(self) -> str:
        return self._job.step

    @property
    def attempt(self) -> int:
        """Say which attempt of the step this is, from 1."""
        return self._job.attempt

    @property
    def handler(self) -> str:
        return self._job.handler

    @property
    def idempotency_key(self) -> str:
        """Give what to key effects by: the same for every attempt, and every delivery, of this step of this task."""
        return self._job.idempotency_key

    @property
    def task_context(self) -> dict[str, Any]:
        """Give what the task was asked for with, as it came."""
        return self._job.inputs.context

    @property
    def results(self) -> Mapping[str, Any]:
        """Give the results of the steps that this one depends on, by step name, as they came."""
        return self._job.inputs.results

    @property
    def timeout_s(self) -> float:
        """Give how long the attempt may take, and how far a heartbeat moves its end."""
        return self._job.timeout_ms / 1000

    @property
    def time_left_s(self) -> float:
        """Give how long the attempt may still take: until `deadline`, which is on the clock `time.monotonic`."""
        return max(0.0, self.deadline - self._loop.time())

    @property
    def is_cancelled(self) -> bool:
        """Say whether nobody waits for the result any more: only a function that looks can end in a thread."""
        return self._is_cancelled

    @property
    def logger(self) -> "logging.LoggerAdapter[logging.Logger]":
        """Give a logger whose records carry `task_id`, `step` and `attempt`."""
        extra = {"task_id": str(self.task_id), "step": self.step, "attempt": self.attempt}
        return logging.LoggerAdapter(_LOGGER, extra)

    async def heartbeat(self, progress: Any = None) -> None:
        """Say that the attempt is alive: its time starts anew, here and at the coordinator. Progress is any JSON value.

        While the bus is away nothing is said and the time runs on: an attempt that nobody hears of is given to another.
        """
        await self._beat(progress)

    def heartbeat_from_thread(self, progress: Any = None) -> None:
        """Do as `heartbeat` does, from a handler that is a plain function."""
        asyncio.run_coroutine_threadsafe(self._say(progress), self._loop).result()

    async def _say(self, progress: Any) -> None:
        await self._beat(progress)

    def _cancel(self) -> None:
        self._is_cancelled = True
