"""A worker: handlers under the names that task templates know, and their life from start to stop."""

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from stepbus.orchestrator.ports import Bus, BusUnavailable, end_tasks
from stepbus.worker.buses import open_bus
from stepbus.worker.handler import Handler, Handlers
from stepbus.worker.options import DEFAULT_URL, Options, own_name
from stepbus.worker.service import Service
from stepbus.worker.stats import Stats

_LOGGER = logging.getLogger("stepbus.worker")
_PAUSE_S = 1.0

Function = TypeVar("Function", bound=Callable[..., Any])
Lifespan = Callable[[], AbstractAsyncContextManager[Any]]


class Worker:
    """Serves handlers. `run()` blocks until SIGTERM or SIGINT; `serve()` and `async with` fit into a program of yours.

    ```python
    worker = Worker("nats://127.0.0.1:4222", name="inventory-1", concurrency=16)


    @worker.handler("orders.validate_cart")
    async def validate_cart(cart: Cart, context: Context) -> Validated: ...


    worker.run()
    ```
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        bus: Bus | None = None,
        prefix: str = "stepbus",
        name: str | None = None,
        concurrency: int = 16,
        grace: timedelta | float = 30.0,
        max_deliveries: int = 10,
        lifespan: Lifespan | None = None,
    ) -> None:
        """Make a worker that connects when it starts.

        Args:
            url: of the bus; the adapter is found by its scheme.
            bus: an open bus to use instead of a URL; it is left open.
            prefix: the first word of all channels, as the coordinator has it.
            name: stands in every answer; host and process id unless given.
            concurrency: how many handlers run at once.
            grace: how long handlers may run on after a stop; seconds or a timedelta.
            max_deliveries: how often a job may be delivered before it is answered as failed instead of run.
            lifespan: opens what handlers share (a pool, a client) and closes it after the last; they find it as
                `context.state`.
        """
        self.options = Options(
            url=url,
            prefix=prefix,
            name=name or own_name(),
            concurrency=concurrency,
            grace_s=grace.total_seconds() if isinstance(grace, timedelta) else grace,
            max_deliveries=max_deliveries,
        )
        self.stats = Stats()
        self._bus = bus
        self._lifespan = lifespan
        self._handlers: dict[str, Handler] = {}
        self._running: AsyncExitStack | None = None
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    @property
    def handlers(self) -> Handlers:
        """Give the handlers by name."""
        return dict(self._handlers)

    def handler(
        self, name: str, *, queue: str | None = None, permanent: tuple[type[Exception], ...] = ()
    ) -> Callable[[Function], Function]:
        """Serve the decorated function, async or plain, which stays as it is; plain ones run in threads.

        Args:
            name: the handler's name in task templates.
            queue: where its jobs are, if the template names another queue than the handler.
            permanent: exceptions that no further attempt will mend.

        Raises:
            ValueError: the name is taken, or is none.
        """

        def register(function: Function) -> Function:
            self.add(Handler(name, function, queue, permanent))
            return function

        return register

    def add(self, handler: Handler) -> None:
        """Serve a handler that was made elsewhere.

        Raises:
            ValueError: its name is taken.
        """
        if handler.name in self._handlers:
            raise ValueError(f"expected each handler once, found {handler.name} again")
        self._handlers[handler.name] = handler

    def configure(self, **changes: Any) -> None:
        """Change options before the start: those of `Options`, by name."""
        self.options = replace(self.options, **changes)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then stop gracefully; a second signal does not wait for the handlers."""
        asyncio.run(self._run())

    async def serve(self) -> None:
        """Serve until `request_stop`, or until the task that serves is cancelled."""
        async with self:
            await self._stop.wait()

    def request_stop(self) -> None:
        """Let `serve` end: running handlers have the grace to finish. Called again, they have not."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def __aenter__(self) -> Self:
        """Connect and begin to receive; wait for the bus, and for the coordinator to make its channels."""
        if self._running is not None:
            raise RuntimeError("expected a worker that is not running, but it runs already")
        if not self._handlers:
            raise ValueError("expected a worker with at least one handler, found none")
        async with AsyncExitStack() as stack:
            state = None if self._lifespan is None else await stack.enter_async_context(self._lifespan())
            bus = self._bus
            if bus is None:
                bus = await open_bus(self.options.url, self.options.prefix)
                stack.push_async_callback(bus.close)
            service = Service(bus, self._handlers, self.options, self.stats, state)
            stack.push_async_callback(service.stop, self._hurry)
            await _start(service)
            self._running = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop gracefully."""
        if self._running is not None:
            try:
                await self._running.aclose()
            finally:
                self._running = None
        self._stop.clear()
        self._hurry.clear()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_stop)
        serving = asyncio.create_task(self.serve())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._running is not None or serving.done():
            await serving
            return
        await end_tasks(serving)  # it still waits for the bus


async def _start(service: Service) -> None:
    while True:
        try:
            await service.start()
        except BusUnavailable as error:
            _LOGGER.warning("the bus is not ready: %s; trying again", error)
            await asyncio.sleep(_PAUSE_S)
        else:
            return
