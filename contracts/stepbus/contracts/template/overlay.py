"""The steps of a document as one environment has them, each value with the place where it was written.

It takes documents whose shape may be wrong: what is not what it should be is passed over here; the shape refuses it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stepbus.contracts.problems import Problem
from stepbus.contracts.template.duration import parse_duration
from stepbus.contracts.template.graph import Needs, graph_problems
from stepbus.contracts.template.resolve import laid_over
from stepbus.contracts.template.suggest import Suggestions

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A step as one environment has it; `places` says where some of its keys were written, if not at `pointer`."""

    name: str
    pointer: str
    value: Object
    places: Mapping[str, str]

    def place(self, key: str) -> str:
        """Give the pointer of what is written under a key."""
        return f"{self.places.get(key, self.pointer)}/{key}"


@dataclass(frozen=True, slots=True)
class View:
    """The document as one environment has it, or as it stands without any."""

    namespace: str
    steps: list[Step]
    retry: Object
    retry_pointer: str

    def graph(self, suggestions: Suggestions) -> Iterator[Problem]:
        """Give what is wrong with the dependencies."""
        needs = []
        for step in self.steps:
            names = step.value.get("depends_on")
            needs.append(Needs(step.name, names if isinstance(names, list) else (), step.place("depends_on")))
        return graph_problems(needs, suggestions)

    def delays(self) -> Iterator[Problem]:
        """Give the retry policies whose first delay is above their longest."""
        if is_upside_down(self.retry):
            yield _upside_down(self.retry, self.retry_pointer)
            return
        for step in self.steps:
            retry = laid_over({"retry": self.retry}, step.value)["retry"]
            if is_upside_down(retry):
                yield _upside_down(retry, step.place("retry"))


def base_view(document: Object) -> View:
    """Give the document as it stands without an environment."""
    namespace = document.get("namespace", "default")
    steps = [
        Step(step["name"], f"/steps/{index}", step, {})
        for index, step in objects(document.get("steps"))
        if isinstance(step.get("name"), str)
    ]
    return View(namespace if isinstance(namespace, str) else "default", steps, _retry(document), "/defaults/retry")


def overlaid(base: View, overlay: Object, pointer: str) -> View:
    """Give the document as an environment has it; `pointer` is where that stands."""
    overrides = {
        step["name"]: (f"{pointer}/steps/{index}", step)
        for index, step in objects(overlay.get("steps"))
        if isinstance(step.get("name"), str)
    }
    steps = []
    for step in base.steps:
        place, override = overrides.get(step.name, ("", None))
        if override is not None:
            step = Step(step.name, step.pointer, laid_over(step.value, override), dict.fromkeys(override, place))  # noqa: PLW2901
        steps.append(step)
    retry = _retry(overlay)
    merged = {**base.retry, **retry}
    return View(base.namespace, steps, merged, f"{pointer}/defaults/retry" if retry else base.retry_pointer)


def objects(value: Any) -> Iterator[tuple[int, Object]]:
    """Give the objects of a list, with their index."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, Mapping):
                yield index, item


def is_upside_down(retry: Any) -> bool:
    """Say whether a policy's `initial` is above its `max`, where both are written."""
    if not isinstance(retry, Mapping):
        return False
    initial, longest = _duration(retry.get("initial")), _duration(retry.get("max"))
    return initial is not None and longest is not None and initial > longest


def _duration(value: Any) -> int | None:
    return parse_duration(value) if isinstance(value, str) else None


def _upside_down(retry: Object, pointer: str) -> Problem:
    message = f"expected initial to be at most max ({retry['max']}), found {retry['initial']}"
    return Problem(code="template.retry", message=message, pointer=pointer)


def _retry(part: Object) -> Object:
    defaults = part.get("defaults")
    retry = defaults.get("retry") if isinstance(defaults, Mapping) else None
    return retry if isinstance(retry, Mapping) else {}
