"""Is the process alive, and does the orchestrator do its work?"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from stepbus.contracts.problems import Problem, escape_pointer
from stepbus.orchestrator.ports import StoreUnavailable
from stepbus.projections.api.endpoint import Answer, Api, Call
from stepbus.projections.api.models.health import Alive, PartHealth, Ready
from stepbus.projections.api.refusals import ApiRefusal
from stepbus.projections.views import PROJECTIONS

_NAMES = tuple(projection.name for projection in PROJECTIONS)


async def show_alive(_call: Call) -> Answer:
    """Say that the process answers."""
    return Answer(Alive(alive=True))


async def show_ready(call: Call) -> Answer:
    """Say that every part does its work, or which ones don't."""
    found = await call.api.operations.health()
    parts: dict[str, Mapping[str, Any]] = dict(found["parts"]) | {"views": await _views(call.api)}
    if found["ready"] and all(part["ok"] for part in parts.values()):
        return Answer(Ready(ready=True, parts={name: PartHealth(**part) for name, part in parts.items()}))
    problems = tuple(
        Problem(code="health.part", message=f"{name}: {part['detail']}", pointer=f"/parts/{escape_pointer(name)}")
        for name, part in parts.items()
        if not part["ok"]
    )
    first = Problem(code="health.not_ready", message="expected every part to do its work, but some don't, or not yet")
    raise ApiRefusal(HTTPStatus.SERVICE_UNAVAILABLE, (first, *problems), {"Retry-After": "1"})


async def _views(api: Api) -> Mapping[str, Any]:
    try:
        head, shown = await api.store.head(), await api.progress.at(_NAMES)
    except StoreUnavailable as error:
        return {"ok": False, "detail": f"the store is unavailable: {error}"}
    return {"ok": True, "detail": f"at position {shown} of {head}"}
