"""A request as it comes in, made into checked values: path, query, body. What does not fit is refused whole."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import UUID

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect, Request

from stepbus.contracts import codec
from stepbus.contracts.messages import StepName, TemplateName
from stepbus.contracts.problems import Problem, Refused
from stepbus.contracts.template.version import Version
from stepbus.contracts.validation import message_of, problems_of
from stepbus.projections.api.endpoint import Body
from stepbus.projections.api.refusals import ApiRefusal, refusal, refused

BODY_TIMEOUT_S: Final = 30.0
MOST_PARAMETERS: Final = 64
PATIENCE_BYTES: Final = 8 * 1024 * 1024

_HANG_UP: Final = {"Connection": "close"}

PATH_TYPES: Final[Mapping[str, TypeAdapter[Any]]] = {
    "task_id": TypeAdapter(UUID),
    "message_id": TypeAdapter(UUID),
    "step": TypeAdapter(StepName),
    "namespace": TypeAdapter(TemplateName),
    "name": TypeAdapter(TemplateName),
    "version": TypeAdapter(Version),
}
"""The type of each part of a path that is in braces."""


def read_path(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Give the parts of the path.

    Raises:
        ApiRefusal: 400, one of them has no such form.
    """
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, text in parameters.items():
        try:
            found[name] = PATH_TYPES[name].validate_python(text)
        except ValidationError as error:
            problems += problems_of(error, "path", f"/{name}")
    if problems:
        raise ApiRefusal(HTTPStatus.BAD_REQUEST, problems)
    return found


def read_query(query_string: bytes, model: type[BaseModel]) -> BaseModel:
    """Give what the query asks.

    Raises:
        ApiRefusal: 400, with every parameter that is unknown, given twice, or of no such form.
    """
    try:
        pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        message = f"expected at most {MOST_PARAMETERS} query parameters, found more"
        raise refusal(HTTPStatus.BAD_REQUEST, "query.too_many", message) from None
    problems = [
        Problem(code="query.repeated", message=f"expected {name!r} once, found it {count} times", pointer=f"/{name}")
        for name, count in Counter(name for name, _ in pairs).items()
        if count > 1
    ]
    try:
        question = model.model_validate(dict(pairs))
    except ValidationError as error:
        known = ", ".join(model.model_fields) or "none"
        problems += problems_of(error, "query", describe=lambda detail: _describe(detail, known))
        raise ApiRefusal(HTTPStatus.BAD_REQUEST, problems) from error
    if problems:
        raise ApiRefusal(HTTPStatus.BAD_REQUEST, problems)
    return question


def _describe(detail: ErrorDetails, known: str) -> tuple[str, str]:
    if detail["type"] == "extra_forbidden":
        return "query.unknown_key", f"expected one of {known}, found {detail['loc'][-1]!r}"
    return "query.invalid", message_of(detail)


async def read_body(request: Request, body: Body) -> tuple[Any, str]:
    """Give what the request carries, and the media type it came as.

    Raises:
        ApiRefusal: 400 for no JSON, 408 too slow, 413 too large, 415 another media type, 422 another shape.
    """
    media_type = _media_type(request, body)
    content = await _content(request, body.most_bytes)
    if body.model is None:
        return content, media_type
    if not content and body.is_optional:
        return body.model(), media_type
    try:
        codec.decode(content, limit=body.most_bytes)
    except Refused as error:
        raise refused(error, HTTPStatus.BAD_REQUEST) from error
    try:
        return body.model.model_validate_json(content, strict=True), media_type
    except ValidationError as error:
        problems = tuple(problems_of(error, "request"))
        raise ApiRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, problems) from error


def _media_type(request: Request, body: Body) -> str:
    given = request.headers.get("content-type")
    if given is None and body.is_optional and request.headers.get("content-length", "0") == "0":
        return body.media_types[0]
    media_type, _, parameters = (given or "").partition(";")
    charset = parameters.partition("charset=")[2].strip('" ').lower()
    if media_type.strip().lower() in body.media_types and charset in ("", "utf-8", "utf8"):
        return media_type.strip().lower()
    expected = " or ".join(body.media_types)
    message = f"expected Content-Type {expected} in UTF-8, found {given or 'none'}"
    raise refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "request.media_type", message, headers={"Accept-Post": expected})


async def _content(request: Request, most_bytes: int) -> bytes:
    """Give the body. What is too large is read a little further: many clients hear nothing before they have sent."""
    content = bytearray()
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= most_bytes:
                    content += chunk
                elif size > most_bytes + PATIENCE_BYTES:
                    break
    except TimeoutError:
        message = f"expected the whole body within {BODY_TIMEOUT_S:g} s"
        raise refusal(HTTPStatus.REQUEST_TIMEOUT, "request.too_slow", message, headers=_HANG_UP) from None
    except ClientDisconnect:
        raise refusal(HTTPStatus.BAD_REQUEST, "request.incomplete", "expected the whole body, found a part") from None
    if size > most_bytes:
        message = f"expected at most {most_bytes} bytes, found more"
        raise refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request.too_large", message, headers=_HANG_UP)
    return bytes(content)
