"""The OpenAPI 3.1 document, drawn from the route table and the models. Source: OpenAPI Specification 3.1.1."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from stepbus.contracts.schemas import Generator
from stepbus.contracts.template.model import TaskDocument
from stepbus.projections.api.endpoint import JSON, POSITION_HEADER, Body, Endpoint
from stepbus.projections.api.models.health import ProblemDocument
from stepbus.projections.api.models.tasks import HistoryEvent
from stepbus.projections.api.reading import PATH_TYPES
from stepbus.projections.api.refusals import PROBLEM_TYPE

PATH: Final = "/openapi.json"

_REF: Final = "#/components/schemas/{model}"
_ALWAYS: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_WITH_BODY: Final = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)
_RETRY_AFTER: Final = {
    "Retry-After": {
        "description": "seconds after which to ask again; with the code task.overloaded, nothing was done",
        "schema": {"type": "integer"},
    }
}
_DESCRIPTION: Final = (
    "Writes answer the header Stepbus-Position; a read with min_position waits until the view shows that position. "
    "Every failure is problem+json with a stable code."
)

Json = dict[str, Any]
ModelKey = tuple[Any, JsonSchemaMode]


def document(endpoints: Sequence[Endpoint], version: str) -> Json:
    """Give the document of these endpoints."""
    keys = list(dict.fromkeys(_models(endpoints)))
    refs, schemas = models_json_schema(keys, ref_template=_REF, schema_generator=Generator)
    paths: dict[str, Json] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": "stepbus", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"key": []}, {}],
        "tags": [{"name": tag} for tag in dict.fromkeys(endpoint.tag for endpoint in endpoints)],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _models(endpoints: Sequence[Endpoint]) -> Iterator[ModelKey]:
    yield ProblemDocument, "serialization"
    yield HistoryEvent, "serialization"
    for endpoint in endpoints:
        yield from ((model, "serialization") for model in endpoint.answers.values() if model is not None)
        if endpoint.body is not None:
            yield endpoint.body.model or TaskDocument, "validation"


def _operation(endpoint: Endpoint, refs: Mapping[ModelKey, Json]) -> Json:
    operation: Json = {
        "operationId": endpoint.operation,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "responses": _responses(endpoint, refs),
    }
    parameters = [*_path_parameters(endpoint), *_query_parameters(endpoint), *_header_parameters(endpoint)]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        operation["requestBody"] = _request_body(endpoint.body, refs)
    if not endpoint.needs_key:
        operation["security"] = []
    return operation


def _path_parameters(endpoint: Endpoint) -> Iterator[Json]:
    for name, adapter in PATH_TYPES.items():
        if f"{{{name}}}" in endpoint.path:
            schema = adapter.json_schema(schema_generator=Generator)
            yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(endpoint: Endpoint) -> Iterator[Json]:
    schema = endpoint.query.model_json_schema(schema_generator=Generator)
    for name, found in schema.get("properties", {}).items():
        shape = _without_null(found)
        parameter: Json = {"name": name, "in": "query", "required": False, "schema": shape}
        if shape.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        yield parameter


def _without_null(schema: Json) -> Json:
    """Give the schema of a parameter that may be left out: in a query, nothing is null."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    shape = {key: value for key, value in schema.items() if key != "anyOf"}
    if shape.get("default", ...) is None:
        del shape["default"]
    return shape | choices[0] if choices else shape


def _header_parameters(endpoint: Endpoint) -> Iterator[Json]:
    for name, description in endpoint.request_headers.items():
        yield {
            "name": name,
            "in": "header",
            "required": False,
            "description": description,
            "schema": {"type": "string"},
        }


def _request_body(body: Body, refs: Mapping[ModelKey, Json]) -> Json:
    schema = refs[body.model or TaskDocument, "validation"]
    found: Json = {
        "required": not body.is_optional,
        "content": {media_type: {"schema": schema} for media_type in body.media_types},
    }
    return found | ({"description": body.description} if body.description else {})


def _responses(endpoint: Endpoint, refs: Mapping[ModelKey, Json]) -> Json:
    found: Json = {}
    for status, model in endpoint.answers.items():
        content = {} if model is None else {"content": {JSON: {"schema": refs[model, "serialization"]}}}
        found[str(status.value)] = {"description": status.phrase, **content}
    if endpoint.texts:
        answer = found.setdefault("200", {"description": HTTPStatus.OK.phrase, "content": {}})
        for media_type, description in endpoint.texts.items():
            answer["content"][media_type] = {"schema": {"type": "string", "description": description}}
    if endpoint.reads or endpoint.method == "POST":
        header = {"description": "the position that is shown or was written", "schema": {"type": "integer"}}
        for answer in found.values():
            answer["headers"] = {POSITION_HEADER: header}
    problem = {"content": {PROBLEM_TYPE: {"schema": refs[ProblemDocument, "serialization"]}}}
    for status in _refusals(endpoint):
        found[str(status.value)] = {"description": status.phrase, **problem}
    found[str(HTTPStatus.SERVICE_UNAVAILABLE.value)]["headers"] = _RETRY_AFTER
    return found


def _refusals(endpoint: Endpoint) -> Iterator[HTTPStatus]:
    statuses = {*_ALWAYS, *endpoint.refusals}
    if endpoint.body is not None:
        statuses |= set(_WITH_BODY)
    if endpoint.method == "POST":
        statuses.add(HTTPStatus.FORBIDDEN)
    yield from sorted(statuses)
