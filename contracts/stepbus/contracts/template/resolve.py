"""From the document to the template that runs: environment over base, defaults under steps, names made explicit.

All of this works on the document's plain values, so that what was written and what is assumed stay apart to the end.
"""

from collections.abc import Mapping
from typing import Any, Final

from stepbus.contracts.template.duration import parse_duration
from stepbus.contracts.template.model import DEFAULT_FIRST_DELAY_MS, DEFAULT_LONGEST_DELAY_MS

Object = Mapping[str, Any]

_LEFT_OUT: Final = frozenset({"defaults", "environments", "steps"})


def resolve(document: Object, environment: str | None) -> dict[str, Any]:
    """Give the template as plain values, for a document that was checked."""
    overlay = document.get("environments", {})[environment] if environment is not None else {}
    defaults = laid_over(document.get("defaults", {}), overlay.get("defaults", {}))
    overrides = {step["name"]: step for step in overlay.get("steps", ())}
    template = {key: value for key, value in {**document, **overlay}.items() if key not in _LEFT_OUT}
    namespace = document.get("namespace", "default")
    template["steps"] = [
        _complete(laid_over(step, overrides.get(step["name"], {})), defaults, namespace) for step in document["steps"]
    ]
    return template


def laid_over(base: Object, over: Object) -> dict[str, Any]:
    """Give the base with each key of the other in place of its own; `retry` key by key."""
    merged = {**base, **over}
    below, above = base.get("retry"), over.get("retry")
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        merged["retry"] = {**below, **above}
    return merged


def handler_of(namespace: str, name: str) -> str:
    """Give the handler of a step that names none."""
    return f"{namespace}.{name}"


def _complete(step: dict[str, Any], defaults: Object, namespace: str) -> dict[str, Any]:
    complete = laid_over(defaults, step)
    complete["retry"] = _with_room(complete.get("retry", {}))
    handler = complete.setdefault("handler", handler_of(namespace, step["name"]))
    complete.setdefault("queue", handler)
    return complete


def _with_room(retry: Object) -> Object:
    """Give the policy with `initial` at most `max`, where only one of the two is written."""
    written = parse_duration(retry.get("initial", "")), parse_duration(retry.get("max", ""))
    match written:
        case int(initial), None if initial > DEFAULT_LONGEST_DELAY_MS:
            return {**retry, "max": retry["initial"]}
        case None, int(longest) if longest < DEFAULT_FIRST_DELAY_MS:
            return {**retry, "initial": retry["max"]}
        case _:
            return retry
