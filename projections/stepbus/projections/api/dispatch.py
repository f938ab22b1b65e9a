"""The straight line of a request: path, method, query, body, the wait for the views, the handler, the answer."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import StoreUnavailable
from stepbus.projections.api.endpoint import JSON, POSITION_HEADER, Answer, Api, Call, Endpoint
from stepbus.projections.api.models.shape import Reading
from stepbus.projections.api.reading import read_body, read_path, read_query
from stepbus.projections.api.refusals import (
    PROBLEM_TYPE,
    ApiRefusal,
    problem_response,
    refusal,
    refused,
    unavailable,
)

_log = logging.getLogger(__name__)

VIEW_TIMEOUT_S: Final = 5.0


class Resource:
    """All methods of one path."""

    def __init__(self, api: Api, endpoints: Mapping[str, Endpoint]) -> None:
        self._api = api
        found = dict(endpoints)
        if "GET" in found and found["GET"].gives_json:  # a stream has no head without a body
            found["HEAD"] = found["GET"]
        self._endpoints = found
        self._allow = {"Allow": ", ".join(sorted(found))}

    async def __call__(self, request: Request) -> Response:
        """Answer a request; whatever goes wrong is answered too, and never with a traceback."""
        try:
            return await self._answer(request)
        except ApiRefusal as error:
            return problem_response(error, request.scope)
        except Refused as error:
            return problem_response(refused(error, HTTPStatus.BAD_REQUEST), request.scope)
        except StoreUnavailable as error:
            _log.warning("%s %s: %s", request.method, request.url.path, error)
            message = "expected the store to answer, but it is unavailable; send the request again"
            return problem_response(unavailable("store.unavailable", message), request.scope)
        except Exception:  # noqa: BLE001 - the border: a client gets an answer, the log the trace
            _log.exception("%s %s failed", request.method, request.url.path)
            message = "expected to answer, but failed; the log of this process says why"
            failure = refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "api.failure", message)
            return problem_response(failure, request.scope)

    async def _answer(self, request: Request) -> Response:
        endpoint = self._endpoints.get(request.method)
        if endpoint is None:
            message = f"expected {self._allow['Allow']}, found {request.method}"
            raise refusal(HTTPStatus.METHOD_NOT_ALLOWED, "request.method", message, headers=self._allow)
        path = read_path(request.path_params)
        query = read_query(request.scope["query_string"], endpoint.query)
        _check_accept(request.headers.get("accept"), endpoint)
        body, media_type = (None, "") if endpoint.body is None else await read_body(request, endpoint.body)
        shown = await self._wait_for_views(endpoint, query)
        answer = await endpoint.handle(Call(self._api, path, query, body, media_type, request.headers))
        response = _response(answer) if isinstance(answer, Answer) else answer
        response.headers.update(shown)
        return response

    async def _wait_for_views(self, endpoint: Endpoint, query: object) -> dict[str, str]:
        """Give the header that says which position the answer shows at least."""
        if not endpoint.reads or not isinstance(query, Reading):
            return {}
        wanted = query.min_position or 0
        reached = await self._api.progress.wait_for(endpoint.reads, wanted, VIEW_TIMEOUT_S)
        if reached < wanted:
            message = f"expected the view to show position {wanted} within {VIEW_TIMEOUT_S:g} s, but it shows {reached}"
            raise unavailable("view.behind", message)
        return {POSITION_HEADER: str(reached)}


def _response(answer: Answer) -> Response:
    content = answer.model.model_dump_json()
    return Response(content, status_code=answer.status.value, headers=dict(answer.headers), media_type=JSON)


def _check_accept(accept: str | None, endpoint: Endpoint) -> None:
    if accept is None:
        return
    ranges = [part.partition(";") for part in accept.lower().split(",")]
    wanted = {media_type.strip() for media_type, _, parameters in ranges if not _is_refused(parameters)}
    if not any(_matches(media_type, wanted) for media_type in (*endpoint.media_types, PROBLEM_TYPE)):
        message = f"expected Accept to allow {' or '.join(endpoint.media_types)}, found {accept!r}"
        raise refusal(HTTPStatus.NOT_ACCEPTABLE, "request.accept", message)


def _is_refused(parameters: str) -> bool:
    weight = parameters.replace(" ", "").partition("q=")[2].partition(";")[0]
    return weight in ("0", "0.0", "0.00", "0.000")


def _matches(media_type: str, wanted: set[str]) -> bool:
    return not wanted.isdisjoint({media_type, media_type.partition("/")[0] + "/*", "*/*"})
