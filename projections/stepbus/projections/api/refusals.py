"""Why a request fails, as an exception on the way and as problem+json at the border. Source: RFC 9457.

```
ApiRefusal(Exception)      the request is answered with this status, code and list of problems
```
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import Scope

from stepbus.contracts.problems import Problem, Refused
from stepbus.orchestrator.ports import Denied
from stepbus.projections.api.models.health import ProblemDocument

PROBLEM_TYPE = "application/problem+json"
PROBLEM_ROOT = "https://stepbus.dev/problems"

_RETRY_AFTER = {"Retry-After": "1"}
_DENIED = {
    "invalid": HTTPStatus.UNPROCESSABLE_ENTITY,
    "missing": HTTPStatus.NOT_FOUND,
    "conflict": HTTPStatus.CONFLICT,
    "overloaded": HTTPStatus.SERVICE_UNAVAILABLE,
}


class ApiRefusal(Exception):
    """The request is answered with this status and these problems; nothing else is done."""

    def __init__(
        self, status: HTTPStatus, problems: Sequence[Problem], headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.problems = problems
        self.headers = dict(headers or {})
        super().__init__(f"{status.value} {problems[0].code}")


def refusal(
    status: HTTPStatus, code: str, message: str, pointer: str = "", headers: Mapping[str, str] | None = None
) -> ApiRefusal:
    """Give the refusal for a single problem, to be raised."""
    return ApiRefusal(status, (Problem(code=code, message=message, pointer=pointer),), headers)


def missing(code: str, message: str) -> ApiRefusal:
    """Give the refusal of a request for what isn't there."""
    return refusal(HTTPStatus.NOT_FOUND, code, message)


def unavailable(code: str, message: str) -> ApiRefusal:
    """Give the refusal of a request that may well be answered if it is sent again."""
    return refusal(HTTPStatus.SERVICE_UNAVAILABLE, code, message, headers=_RETRY_AFTER)


def denied(answer: Denied, missing_as: HTTPStatus = HTTPStatus.NOT_FOUND) -> ApiRefusal:
    """Give the refusal that an operation answered with. `missing_as`: where the body names what is missing."""
    status = missing_as if answer.kind == "missing" else _DENIED[answer.kind]
    again = _RETRY_AFTER if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return ApiRefusal(status, answer.problems, again)


def refused(error: Refused, status: HTTPStatus) -> ApiRefusal:
    """Give the refusal of an input; one that was too large is 413, whatever the status for others."""
    too_large = any(problem.code.endswith(".too_large") for problem in error.problems)
    return ApiRefusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_large else status, error.problems)


def problem_response(error: ApiRefusal, scope: Scope) -> Response:
    """Give the answer that tells the client of a request why."""
    first = error.problems[0]
    more = len(error.problems) - 1
    document = ProblemDocument(
        type=f"{PROBLEM_ROOT}/{first.code}",
        title=error.status.phrase,
        status=error.status.value,
        detail=first.message + (f" (and {more} more)" if more else ""),
        instance=scope.get("raw_path", b"").decode("ascii", "replace"),
        code=first.code,
        errors=tuple(error.problems),
    )
    return Response(
        document.model_dump_json(), status_code=error.status.value, headers=error.headers, media_type=PROBLEM_TYPE
    )
