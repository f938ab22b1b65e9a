"""The ASGI app: every endpoint of the table at its path, the OpenAPI document, and the guard before all of them."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from stepbus.contracts import codec
from stepbus.orchestrator.ports import ApiSettings
from stepbus.projections.api.crowd import Crowd
from stepbus.projections.api.dispatch import Resource
from stepbus.projections.api.endpoint import JSON, Api, Call, Endpoint
from stepbus.projections.api.guard import Guard
from stepbus.projections.api.refusals import missing, problem_response
from stepbus.projections.api.routes import ENDPOINTS

OPENAPI_PATH = "/openapi.json"


def make_app(api: Api, settings: ApiSettings, connected: Callable[[], int]) -> ASGIApp:
    """Give the app that serves the endpoints of the table. `connected` says how many connections are open."""
    by_path: dict[str, dict[str, Endpoint]] = defaultdict(dict)
    for endpoint in (*ENDPOINTS, _DESCRIPTION):
        by_path[endpoint.path][endpoint.method] = endpoint
    routes = [Route(path, _Mounted(api, methods)) for path, methods in by_path.items()]
    keyless = frozenset(endpoint.path for endpoint in ENDPOINTS if not endpoint.needs_key)
    router = Router(routes, redirect_slashes=False, default=_unknown_path)
    return Guard(Crowd(router, connected), settings, keyless)


class _Mounted:
    """A path's resource as an ASGI app, to which the router hands every method."""

    def __init__(self, api: Api, methods: Mapping[str, Endpoint]) -> None:
        self._resource = Resource(api, methods)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._resource(Request(scope, receive, send))
        await response(scope, receive, send)


async def _describe(_call: Call) -> Response:
    return Response(_document(), media_type=JSON)


@cache
def _document() -> bytes:
    from stepbus.projections.api.openapi import document  # noqa: PLC0415 - a start needs no document

    return codec.encode(document(ENDPOINTS, version("stepbus")))


_DESCRIPTION = Endpoint(
    "GET",
    OPENAPI_PATH,
    "describe",
    "Describe the API",
    _describe,
    {},
    texts={JSON: "the OpenAPI 3.1 document"},
)


async def _unknown_path(scope: Scope, receive: Receive, send: Send) -> None:
    trouble = missing("request.path", f"expected a path that {OPENAPI_PATH} lists, found {scope['path']!r}")
    await problem_response(trouble, scope)(scope, receive, send)
