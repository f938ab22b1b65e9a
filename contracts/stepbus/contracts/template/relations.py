"""What no single value of a document shows: names that must be there once, dependencies, limits, environments.

It looks at whatever has the right shape, so a step that is wrong hides nothing that is wrong with the others.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stepbus.contracts.messages import HANDLER, MAX_HANDLER, MAX_STEPS, STEP_NAME
from stepbus.contracts.problems import Problem, escape_pointer
from stepbus.contracts.schema import schema_problems
from stepbus.contracts.template.model import MAX_EDGES, MAX_ENVIRONMENTS
from stepbus.contracts.template.overlay import Object, View, base_view, objects, overlaid
from stepbus.contracts.template.resolve import handler_of
from stepbus.contracts.template.suggest import Suggestions

_HANDLER: Final = re.compile(HANDLER)
_STEP_NAME: Final = re.compile(STEP_NAME)


def size_problems(document: Object) -> Iterator[Problem]:
    """Give the limits that the document goes over; where there is one, nothing else is worth looking for."""
    steps = document.get("steps")
    if not isinstance(steps, list):
        return
    if len(steps) > MAX_STEPS:
        yield _problem("too_many_steps", f"expected at most {MAX_STEPS} steps, found {len(steps)}", "/steps")
    edges = sum(len(step["depends_on"]) for _, step in objects(steps) if isinstance(step.get("depends_on"), list))
    if edges > MAX_EDGES:
        yield _problem("too_many_edges", f"expected at most {MAX_EDGES} dependencies in all, found {edges}", "/steps")
    environments = document.get("environments")
    if isinstance(environments, Mapping) and len(environments) > MAX_ENVIRONMENTS:
        message = f"expected at most {MAX_ENVIRONMENTS} environments, found {len(environments)}"
        yield _problem("too_many_environments", message, "/environments")


def relation_problems(document: Object, environment: str | None, suggestions: Suggestions) -> Iterator[Problem]:
    """Give what is wrong between the parts of a document, and of each of its environments."""
    base = base_view(document)
    yield from _steps(document, "")
    if document.get("steps") == []:
        yield _problem("no_steps", "expected at least one step, found none", "/steps")
    yield from _schemas(document, "")
    yield from _handlers(base)
    of_base = [*base.graph(suggestions), *base.delays()]
    yield from of_base
    environments = document.get("environments", {})
    if not isinstance(environments, Mapping):
        return
    for name, overlay in environments.items():
        if isinstance(overlay, Mapping):
            yield from _environment(base, str(name), overlay, set(of_base), suggestions)
    if environment is not None and environment not in environments:
        names = [str(name) for name in environments]
        expected = (
            f"one of the environments {', '.join(names)}" if names else "no environment, as the template has none"
        )
        message = f"expected {expected}, found {environment!r}{suggestions.nearest(environment, names)}"
        yield _problem("unknown_environment", message, "/environments")


def _environment(
    base: View, name: str, overlay: Object, of_base: set[Problem], suggestions: Suggestions
) -> Iterator[Problem]:
    pointer = f"/environments/{escape_pointer(name)}"
    known = {step.name for step in base.steps}
    for index, step in objects(overlay.get("steps")):
        wanted = step.get("name")
        if isinstance(wanted, str) and wanted not in known:
            message = f"expected the name of a step of the template, found {wanted!r}"
            place = f"{pointer}/steps/{index}/name"
            yield _problem("unknown_step", message + suggestions.nearest(wanted, known), place)
    yield from _steps(overlay, pointer)
    yield from _schemas(overlay, pointer)
    view = overlaid(base, overlay, pointer)
    for problem in (*view.graph(suggestions), *view.delays()):
        if problem not in of_base:
            yield problem.model_copy(update={"message": f"{problem.message}, in the environment {name!r}"})


def _steps(part: Object, pointer: str) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, step in objects(part.get("steps")):
        name = step.get("name")
        if not isinstance(name, str):
            continue
        if name in first:
            message = f"expected each step once, found {name!r} at /steps/{first[name]} too"
            yield _problem("duplicate_step", message, f"{pointer}/steps/{index}/name")
        first.setdefault(name, index)


def _schemas(part: Object, pointer: str) -> Iterator[Problem]:
    if part.get("context_schema") is not None:
        yield from _schema(part["context_schema"], f"{pointer}/context_schema")
    for index, step in objects(part.get("steps")):
        for key in ("input_schema", "result_schema", "error_schema"):
            if step.get(key) is not None:
                yield from _schema(step[key], f"{pointer}/steps/{index}/{key}")


def _schema(schema: Any, pointer: str) -> Iterator[Problem]:
    return schema_problems(schema, pointer) if isinstance(schema, dict) else iter(())


def _handlers(base: View) -> Iterator[Problem]:
    for step in base.steps:
        if "handler" in step.value or not _STEP_NAME.fullmatch(step.name):
            continue
        handler = handler_of(base.namespace, step.name)
        if len(handler) > MAX_HANDLER or not _HANDLER.fullmatch(handler):
            message = f"expected a handler, since {handler!r} (namespace and step name) can't be one, found none"
            yield _problem("handler", message, step.pointer)


def _problem(code: str, message: str, pointer: str) -> Problem:
    return Problem(code=f"template.{code}", message=message, pointer=pointer)
