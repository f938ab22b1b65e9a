"""Who may come in: the door before every request.

On loopback a browser is the danger, not a stranger: a page may have its own name resolve to 127.0.0.1 (DNS rebinding),
or send a form there. So the host must be one of loopback's own names, and a page of another origin changes nothing. On
any other address, or where a key is set, the key is demanded of every request but the one that asks whether the process
lives.
"""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from stepbus.contracts.problems import Refused, refuse
from stepbus.orchestrator.ports import ApiSettings
from stepbus.projections.api.refusals import ApiRefusal, problem_response, refusal

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="stepbus"'}
_SECURITY_HEADERS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches the address."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def key_problem(settings: ApiSettings) -> Refused | None:
    """Give the reason why the API must not be opened like this; None if it may."""
    if settings.api_key is not None and not settings.api_key.strip():
        return refuse("api.key_empty", "expected an API key, found an empty text", "/api_key")
    if settings.api_key is None and not is_loopback(settings.host):
        message = (
            f"expected an API key, since others can reach {settings.host!r}, but none is set; "
            "set one, or listen on 127.0.0.1"
        )
        return refuse("api.key_missing", message, "/api_key")
    return None


class Guard:
    """Lets through what may come in, and answers the rest itself."""

    def __init__(self, app: ASGIApp, settings: ApiSettings, keyless_paths: frozenset[str]) -> None:
        self._app = app
        self._key = None if settings.api_key is None else sha256(settings.api_key.encode()).digest()
        self._only_loopback = is_loopback(settings.host)
        self._keyless_paths = keyless_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it through."""

        async def send_with_headers(message: Mapping[str, object]) -> None:
            if message["type"] == "http.response.start":
                raw = message.get("headers")
                message = {**message, "headers": [*(raw if isinstance(raw, list) else ()), *_SECURITY_HEADERS]}
            await send(dict(message))

        try:
            self._check(scope)
        except ApiRefusal as error:
            await problem_response(error, scope)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if self._only_loopback:
            _check_host(headers)
        if scope["method"] not in _SAFE_METHODS:
            _check_origin(headers)
        if self._key is not None and scope["path"] not in self._keyless_paths:
            self._check_key(headers, self._key)

    def _check_key(self, headers: Headers, key: bytes) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if not hmac.compare_digest(sha256(given.encode("latin-1", "replace")).digest(), key):
            message = "expected the API key as Authorization: Bearer or X-API-Key, found " + (
                "another" if given else "none"
            )
            raise refusal(HTTPStatus.UNAUTHORIZED, "api.key", message, headers=_CHALLENGE)


def _check_host(headers: Headers) -> None:
    host = headers.get("host", "")
    name = host.partition("]")[0].strip("[") if host.startswith("[") else host.rpartition(":")[0] or host
    if not is_loopback(name):
        message = f"expected a name of this machine as Host, such as 127.0.0.1, found {host!r}"
        raise refusal(HTTPStatus.MISDIRECTED_REQUEST, "api.host", message)


def _check_origin(headers: Headers) -> None:
    origin = headers.get("origin")
    is_own = origin is None or origin.partition("://")[2] == headers.get("host")
    if not is_own or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        message = f"expected a request of a program or of a page of this host, found one of a page at {origin!r}"
        raise refusal(HTTPStatus.FORBIDDEN, "api.origin", message)
