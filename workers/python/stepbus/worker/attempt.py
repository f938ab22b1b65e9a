"""One run of a handler, from its inputs to its ending, for as long as the attempt may take."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from typing import Any

from stepbus.contracts.messages import StepError, StepHeartbeat
from stepbus.contracts.problems import Refused
from stepbus.worker import answer
from stepbus.worker.answer import Ending
from stepbus.worker.context import Context
from stepbus.worker.errors import HandlerError
from stepbus.worker.handler import Handler
from stepbus.worker.job import Job

_LOGGER = logging.getLogger("stepbus.worker")

Say = Callable[[StepHeartbeat], Awaitable[bool]]


class Attempt:
    """Runs a handler once. An async one is cancelled when the time is over; one in a thread is left to itself."""

    def __init__(self, handler: Handler, job: Job, worker: str, say: Say, state: Any = None) -> None:
        self._handler = handler
        self._job = job
        self._worker = worker
        self._say = say
        self._time: asyncio.Timeout | None = None
        self._thread: asyncio.Future[Any] | None = None
        self.context = Context(job.request, job.envelope, self._beat, state)

    async def run(self) -> Ending:
        """Give the answer to the job; cancelled, give none."""
        try:
            positional, named = self._handler.arguments(self._job.request.inputs, self.context)
        except Refused as refused:
            return answer.failed(self._job, self._worker, answer.input_invalid(refused))
        try:
            async with asyncio.timeout_at(self.context.deadline) as self._time:
                result = await self._call(positional, named)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            self.context._cancel()  # noqa: SLF001 - only the runner of an attempt may end it
            if isinstance(error, asyncio.CancelledError) and _is_cancelled_from_outside():
                raise
            return answer.failed(self._job, self._worker, self._error_of(error))
        return answer.completed(self._job, self._worker, result)

    async def settled(self) -> None:
        """Wait for a thread that ran on when its time was over."""
        if self._thread is not None:
            with suppress(BaseException):
                await asyncio.shield(self._thread)

    async def _call(self, positional: list[Any], named: dict[str, Any]) -> Any:
        function = self._handler.function
        if self._handler.is_async:
            return await function(*positional, **named)
        self._thread = _in_thread(lambda: function(*positional, **named), f"stepbus-{self._handler.name}")
        return await asyncio.shield(self._thread)

    def _error_of(self, error: BaseException) -> StepError:
        if isinstance(error, TimeoutError) and self._time is not None and self._time.expired():
            message = f"expected an end within {self._job.request.timeout_ms} ms of the start or the last heartbeat"
            return StepError(code=answer.TIMEOUT, message=message)
        if not isinstance(error, HandlerError):
            request = self._job.request
            place = (request.handler, request.task_id, request.step, request.attempt)
            _LOGGER.error("%s failed: task %s, step %s, attempt %d", *place, exc_info=error)
        return answer.error_of(error, self._handler.permanent)

    async def _beat(self, progress: Any) -> None:
        try:
            message = answer.heartbeat(self._job, self._worker, progress)
        except Refused as refused:
            _LOGGER.warning("the progress of a heartbeat is left out: %s", refused)
            message = answer.heartbeat(self._job, self._worker, None)
        if self._time is None or self.context.is_cancelled or not await self._say(message):
            return
        if not self._time.expired():
            self.context.deadline = asyncio.get_running_loop().time() + self.context.timeout_s
            self._time.reschedule(self.context.deadline)


def _is_cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _in_thread(function: Callable[[], Any], name: str) -> asyncio.Future[Any]:
    """Run a function in a thread that does not keep the process alive; the future is done when the thread is."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = copy_context()

    def finish(result: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        else:
            is_fit = isinstance(error, Exception) and not isinstance(error, StopIteration)
            done.set_exception(error if is_fit else RuntimeError(repr(error)))
            done.exception()  # nobody may ask for it: the time may be over

    def run() -> None:
        result: Any = None
        raised: BaseException | None = None
        try:
            result = context.run(function)
        except BaseException as error:  # noqa: BLE001 - it is handed over, whatever it is
            raised = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, result, raised)

    Thread(target=run, name=name, daemon=True).start()
    return done
