"""How the orchestrator is, and what is said when a request fails."""

from pydantic import ConfigDict

from stepbus.contracts.problems import Problem
from stepbus.projections.api.models.shape import Shown


class Alive(Shown):
    """The process answers."""

    alive: bool


class PartHealth(Shown):
    """How one part is."""

    ok: bool
    detail: str


class Ready(Shown):
    """The orchestrator does its work."""

    ready: bool
    parts: dict[str, PartHealth]


class ProblemDocument(Shown):
    """Why a request failed. Source: RFC 9457.

    Shape: `code` is dotted and stable; `errors` has every problem found, each with a JSON pointer into what was sent
    and the line where it was text that a person wrote.
    """

    model_config = ConfigDict(json_schema_extra={"description": "Why a request failed, as RFC 9457 has it."})

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: tuple[Problem, ...] = ()
