"""The role that serves the API: uvicorn inside the process's own event loop."""

import asyncio
import logging
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from stepbus.contracts.problems import Refused, refuse
from stepbus.orchestrator.ports import ApiSettings, Surroundings
from stepbus.projections.api.app import make_app
from stepbus.projections.api.endpoint import Api
from stepbus.projections.api.guard import key_problem
from stepbus.projections.api.live import Hub
from stepbus.projections.progress import Progress
from stepbus.projections.views import PROJECTIONS

_log = logging.getLogger(__name__)

_KEEP_ALIVE_S = 75
_DRAIN_S = 5


class ApiServer:
    """The HTTP API on one address."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._hub = Hub(surroundings.store)
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._url = ""

    async def start(self) -> str:
        """Listen, and give the URL, with the port that was taken.

        Raises:
            Refused: the address can't be had, or others could reach it without a key.
        """
        settings = self._surroundings.api
        trouble = key_problem(settings)
        if trouble is not None:
            raise trouble
        for projection in PROJECTIONS:
            await self._surroundings.views.create(projection.ddl)
        listening = _listen(settings)
        self._server = _Server(_config(make_app(self._api(), settings, self._connected)))
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]), name="api")
        await self._server.ready.wait()
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self._url = f"http://{host}:{listening.getsockname()[1]}"
        return self._url

    async def stop(self) -> None:
        """Take no more requests, end the streams, answer what is in hand."""
        self._hub.close()
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task

    def health(self) -> tuple[bool, str]:
        """Say whether requests are answered, and where."""
        if self._task is None:
            return False, "not started"
        return (False, "stopped") if self._task.done() else (True, self._url)

    def _connected(self) -> int:
        return 0 if self._server is None else len(self._server.server_state.connections)

    def _api(self) -> Api:
        around = self._surroundings
        return Api(around.store, around.views, around.operations, Progress(around.views), self._hub)


class _Server(uvicorn.Server):
    """uvicorn as a guest: the process keeps its signal handlers, and `ready` is set once it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone: whoever runs the process stops its roles."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self.ready.set()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        http="h11",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_DRAIN_S,
    )


def _listen(settings: ApiSettings) -> socket.socket:
    """Give a socket that listens at the address.

    Raises:
        Refused: the address can't be had.
    """
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise _not_had(settings, error) from error
    # Connections inherit it. asyncio sets it on sockets that name their protocol, which this one does not; without it,
    # the body of an answer waits 40 ms for the acknowledgement of the head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _not_had(settings: ApiSettings, error: OSError) -> Refused:
    message = f"expected to listen at {settings.host} port {settings.port}, but {error.strerror or error}"
    return refuse("api.address", message, "/port")
