"""The shape of an endpoint: what it is called by, what it takes and gives, and the function that does it.

The table in `routes` is made of these. Dispatch reads a request by them and the OpenAPI document is drawn from them, so
that what is served, what is checked and what is documented are the same.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from starlette.responses import Response

from stepbus.contracts.codec import MAX_MESSAGE_BYTES
from stepbus.orchestrator.ports import EventStore, Operations, ViewStore
from stepbus.projections.api.live import Hub
from stepbus.projections.api.models.shape import NoQuestion
from stepbus.projections.progress import Progress

JSON = "application/json"
YAML_TYPES = ("application/yaml", "text/yaml", "application/x-yaml", "text/x-yaml")
POSITION_HEADER = "Stepbus-Position"
CLIENT = "client/http"
OPERATOR = "operator/http"


@dataclass(frozen=True, slots=True)
class Api:
    """What handlers work with."""

    store: EventStore
    views: ViewStore
    operations: Operations
    progress: Progress
    hub: Hub


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries. Without `model`, the handler gets the bytes, to read them with their lines."""

    model: type[BaseModel] | None
    media_types: tuple[str, ...] = (JSON,)
    most_bytes: int = MAX_MESSAGE_BYTES
    is_optional: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read and checked."""

    api: Api
    path: Mapping[str, Any]
    query: Any
    body: Any
    media_type: str
    headers: Mapping[str, str]

    @property
    def task_id(self) -> UUID:
        """Give the task that the path names."""
        found: UUID = self.path["task_id"]
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler gives back: a model, which goes out as JSON."""

    model: BaseModel
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    Shape: `answers` says which model goes out as JSON with which status, None for no content; `texts` describes other
    media types of a 200; `refusals` are the statuses of its problem documents beyond those that every endpoint has;
    `reads` names the views that it shows, and has it take `min_position`.
    """

    method: str
    path: str
    operation: str
    summary: str
    handle: Callable[[Call], Awaitable[Answer | Response]]
    answers: Mapping[HTTPStatus, type[BaseModel] | None]
    query: type[BaseModel] = NoQuestion
    body: Body | None = None
    reads: tuple[str, ...] = ()
    refusals: tuple[HTTPStatus, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    request_headers: Mapping[str, str] = field(default_factory=dict)
    needs_key: bool = True

    @property
    def tag(self) -> str:
        """Give the group that it is documented under: the first part of its path after the version."""
        return self.path.split("/")[2]

    @property
    def gives_json(self) -> bool:
        """Say whether it can answer with JSON."""
        return any(self.answers.values())

    @property
    def media_types(self) -> tuple[str, ...]:
        """Give what it can answer with."""
        return (*((JSON,) if self.gives_json else ()), *self.texts)
