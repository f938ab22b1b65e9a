"""The API as the command line calls it, and what it says when nobody answers."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self
from urllib.parse import quote

import httpx
import orjson
import typer
from pydantic import ValidationError

from stepbus.contracts.problems import Problem
from stepbus.orchestrator.cli.failure import Failure
from stepbus.orchestrator.cli.verb import DEFAULT_URL

Url = Annotated[str, typer.Option("--url", metavar="URL", envvar="STEPBUS_URL", help="Where the API is.")]
ApiKey = Annotated[
    str | None, typer.Option("--api-key", metavar="KEY", envvar="STEPBUS_API_KEY", help="The key that the API demands.")
]

_CONNECT_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 30.0
_OVERLOADED = "task.overloaded"
_TRIES = 10
_PAUSE_S = (1, 30)
"""How long to wait until the next try where the API says no time, and at most."""


@dataclass(frozen=True)
class Notice:
    """One server-sent event. `id` resumes the stream behind it."""

    id: str
    event: str
    data: Any


class Api:
    """One API of stepbus, for the length of a `with` block.

    A request that is turned away because too much waits already is sent again after the time that the API says, ten
    times in all; this is told on stderr.

    Raises:
        Failure: `api.unreachable` if nobody answers, `api.unexpected` if it isn't stepbus, and else what the API says.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sleep = sleep
        self.url = url.rstrip("/")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
        try:
            self._http = httpx.Client(base_url=f"{self.url}/v1/", headers=headers, timeout=timeout, transport=transport)
        except (httpx.InvalidURL, ValueError) as error:
            raise Failure(
                "api.url", f"expected the URL of the API, such as {DEFAULT_URL}, found {url!r}: {error}"
            ) from error

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Let go of the connection."""
        self._http.close()

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """Give what is at a path; parameters that are None are left out."""
        return self._call("GET", path, params=_present(parameters))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask for a change. The answer's `position` is what a read has to wait for to see it."""
        return self._call("POST", path, json=dict(body or {}))

    def send(self, path: str, text: bytes, media_type: str, **parameters: Any) -> dict[str, Any]:
        """Ask for a change with a text of the user's own, which is passed on as it is."""
        headers = {"content-type": media_type}
        return self._call("POST", path, content=text, headers=headers, params=_present(parameters))

    def notices(self, path: str, after: str | None = None, **parameters: Any) -> Iterator[Notice]:
        """Give the server-sent events of a path as they come, until the server ends them."""
        headers = {"accept": "text/event-stream"} | ({"last-event-id": after} if after else {})
        try:
            with self._http.stream("GET", path, headers=headers, params=_present(parameters)) as response:
                if not response.is_success:
                    response.read()
                    raise _refusal(response)
                yield from _notices_in(response.iter_lines())
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        tries = 1
        while not (response := self._answer(method, path, **content)).is_success:
            failure = _refusal(response)
            if failure.code != _OVERLOADED or tries == _TRIES:
                raise failure
            tries += 1
            self._pause(failure, response.headers.get("Retry-After", ""))
        document = _json_of(response)
        if document is None:
            raise _not_stepbus(response)
        return document

    def _answer(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error

    def _pause(self, failure: Failure, retry_after: str) -> None:
        """Wait as long as the API says, and up to half as long again, so that not all who wait come back at once."""
        usual_s, longest_s = _PAUSE_S
        asked_s = min(int(retry_after), longest_s) if retry_after.isdecimal() else usual_s
        pause_s = asked_s * random.uniform(1, 1.5)  # noqa: S311 - no secret
        typer.echo(f"{failure.code}: {failure.message}; trying again in {pause_s:.1f} s", err=True)
        self._sleep(pause_s)

    def _unreachable(self, error: Exception) -> Failure:
        return Failure(
            "api.unreachable",
            f"expected the API of stepbus at {self.url}, but {str(error) or type(error).__name__}; "
            "`stepbus dev` starts one, --url or STEPBUS_URL names another",
        )


def shown_by(api: Api, path: str, position: int) -> dict[str, Any] | None:
    """Give what is at a path as soon as the views show what was written at the position; None if they are late.

    So the next command sees what this one has done. It is done, whether the views show it yet or not.
    """
    try:
        return api.get(path, min_position=position)
    except Failure as failure:
        if failure.code == "view.behind":
            return None
        raise


def path_of(*parts: object) -> str:
    """Give the path made of these parts, each escaped."""
    return "/".join(quote(str(part), safe="") for part in parts)


def _present(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def _json_of(response: httpx.Response) -> dict[str, Any] | None:
    try:
        document = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _refusal(response: httpx.Response) -> Failure:
    """Source: RFC 9457, with the members `code` and `errors`."""
    document = _json_of(response) or {}
    message = document.get("detail") or document.get("title") or f"status {response.status_code}"
    try:
        first = Problem(code=document.get("code", ""), message=message)
        problems = [Problem.model_validate(problem) for problem in document.get("errors", ())]
    except (ValidationError, TypeError):
        return _not_stepbus(response)
    return Failure(first.code, first.message, problems)


def _not_stepbus(response: httpx.Response) -> Failure:
    found = f"status {response.status_code}, {response.headers.get('content-type', 'no content type')}"
    return Failure("api.unexpected", f"expected stepbus to answer at {response.url}, but found {found}")


def _notices_in(lines: Iterator[str]) -> Iterator[Notice]:
    """Source: HTML Living Standard, section 9.2.6, for streams whose data is JSON."""
    fields: dict[str, list[str]] = {}
    last_id = ""
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
            continue
        last_id = fields.get("id", [last_id])[-1]
        if "data" in fields:
            yield Notice(last_id, fields.get("event", ["message"])[-1], orjson.loads("\n".join(fields["data"])))
        fields = {}
