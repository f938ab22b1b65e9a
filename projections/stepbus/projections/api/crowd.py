"""Room for those who ask: a connection costs about 15 KB, so their number is bounded as all else is.

Who asks for a new task while there are too many is told to come again, and the connection is closed. Some are let in
all the same, so that however many come, work is done. Whoever asks for anything else is let through: who watches,
operates, or asks whether the process lives.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from stepbus.projections.api.refusals import problem_response, refusal

MOST_CONNECTIONS: Final = 4_000
ALWAYS_IN_HAND: Final = 500
TASKS: Final = "/v1/tasks"

_COME_AGAIN: Final = {"Retry-After": "1", "Connection": "close"}


class Crowd:
    """Lets through what there is room for. `connected` says how many connections are open."""

    def __init__(self, app: ASGIApp, connected: Callable[[], int]) -> None:
        self._app = app
        self._connected = connected
        self._in_hand = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or turn it away."""
        if scope["path"] != TASKS or scope["method"] != "POST":
            await self._app(scope, receive, send)
        elif self._in_hand >= ALWAYS_IN_HAND and (found := self._connected()) > MOST_CONNECTIONS:
            message = f"expected at most {MOST_CONNECTIONS:,} connections, found {found:,}; ask again later"
            trouble = refusal(HTTPStatus.SERVICE_UNAVAILABLE, "task.overloaded", message, headers=_COME_AGAIN)
            await problem_response(trouble, scope)(scope, receive, send)
        else:
            self._in_hand += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._in_hand -= 1
