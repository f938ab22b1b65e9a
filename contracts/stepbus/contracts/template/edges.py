"""The edges of a template as contracts: whether what a step's dependencies declare to give is what it declares to need.

A step that says `input_schema` is held against the template's `context_schema` and the `result_schema` of each step it
depends on. What certainly can't fit, since a value shows it, is an error; what can't be told is a warning.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import orjson

from stepbus.contracts.inclusion import Answer, Document, Inclusion, Place, inclusion
from stepbus.contracts.inclusion.facts import Facts, Places
from stepbus.contracts.inclusion.place import written
from stepbus.contracts.problems import Problem, escape_pointer
from stepbus.contracts.schema import Schema, reasons
from stepbus.contracts.template.model import StepTemplate, TaskTemplate

MAX_NOT_SHOWN: Final = 100
"""How many edges of one template are looked at whose fit is not shown at once: to look for a value takes longer."""

_VALUE_SHOWN: Final = 120


@dataclass(slots=True)
class Findings:
    """What was found of the edges: `errors` are certain, each by a value; `warnings` tell what can't be told."""

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    not_shown: int = 0

    @property
    def is_full(self) -> bool:
        """Say whether enough was looked at."""
        return self.not_shown >= MAX_NOT_SHOWN


def edge_findings(template: TaskTemplate) -> Findings:
    """Give what is to be said of the edges of a template that is valid in all else."""
    findings = Findings()
    steps = {step.name: step for step in template.steps}
    for number, step in enumerate(template.steps):
        if step.input_schema is not None and not findings.is_full:
            add_findings(findings, template, step, steps, step.input_schema, f"/steps/{number}/input_schema")
    if findings.is_full:
        message = f"expected fewer edges that may not fit, found {MAX_NOT_SHOWN}; the rest was not looked at"
        findings.warnings.append(_problem("edges_unchecked", message, "/steps"))
    return findings


def add_findings(
    findings: Findings,
    template: TaskTemplate,
    step: StepTemplate,
    steps: Mapping[str, StepTemplate],
    needed: Schema,
    pointer: str,
) -> None:
    """Add what is to be said of one step, whose inputs are to satisfy this schema, which stands at `pointer`."""
    whole = Document(needed)
    if _answer(written(needed), "", written(inputs_schema(template, step, steps))).answer is Answer.SHOWN:
        return
    results = _under((whole.top,), "results")
    before = len(findings.errors) + len(findings.warnings)
    for source in _sources(template, step, steps, whole):
        for place in source.needs:
            _compare(findings, source, place, pointer)
    for name in sorted(Facts(results).required):
        where = f"{pointer}{results[0].pointer}"
        if name not in step.depends_on:
            message = f"expected results of steps that {step.name!r} depends on, found {name!r} to be required"
            findings.errors.append(_problem("edge_unknown", message, where))
        elif steps[name].skippable:
            message = f"expected a step that can't be left out, found {name!r} to be required and skippable"
            findings.warnings.append(_problem("edge_skippable", message, where))
    if before == len(findings.errors) + len(findings.warnings):
        message = "expected inputs that are known to satisfy this schema, found that it can't be told"
        findings.warnings.append(_problem("edge_open", message, pointer))
    findings.not_shown += 1


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a part of the inputs comes from, what is declared of it, and what is needed of it."""

    name: str
    given: Schema | None
    needs: Places


def _sources(
    template: TaskTemplate, step: StepTemplate, steps: Mapping[str, StepTemplate], needed: Document
) -> Iterator[_Source]:
    context = None if template.context_schema is None else _context(template, "#/allOf/1")
    yield _Source("the task's context", context, _under((needed.top,), "context"))
    results = _under((needed.top,), "results")
    for name in step.depends_on:
        yield _Source(f"the result of {name!r}", steps[name].result_schema, _under(results, name))


def _under(places: Places, name: str) -> Places:
    return Facts(places).of_property(name)


def inputs_schema(template: TaskTemplate, step: StepTemplate, steps: Mapping[str, StepTemplate]) -> Schema:
    """Give the schema of what the step receives, as far as it is declared."""
    results = {
        name: _standing(steps[name].result_schema, f"#/properties/results/properties/{escape_pointer(name)}")
        for name in step.depends_on
    }
    return {
        "type": "object",
        "required": ["context", "results"],
        "properties": {
            "context": _context(template, "#/properties/context/allOf/1"),
            "results": {
                "type": "object",
                "properties": results,
                "required": [name for name in results if not steps[name].skippable],
                "additionalProperties": False,
            },
        },
        "additionalProperties": False,
    }


def _context(template: TaskTemplate, pointer: str) -> Schema:
    """Give the schema of a context, which is an object whatever its schema says; `pointer` is where that will stand."""
    return {"allOf": [{"type": "object"}, _standing(template.context_schema, pointer)]}


def _standing(schema: Schema | None, pointer: str) -> Schema:
    """Give a schema with its references as they lead when it stands at a place in a larger one."""
    return True if schema is None else Document(schema).standing_at(pointer)


def _compare(findings: Findings, source: _Source, place: Place, pointer: str) -> None:
    """Add what is to be said of one part of the inputs and one thing that is needed of it."""
    where = pointer + place.pointer
    if source.given is None:
        if place.schema not in ({}, True):
            message = f"expected {source.name} to be declared by a schema, since something is needed of it, found none"
            findings.warnings.append(_problem("edge_undeclared", message, where))
        return
    found = _answer(written(place.document.schema), place.pointer, written(source.given))
    if found.answer is Answer.OPEN:
        message = f"expected {source.name} to be known to satisfy what is needed, found that it can't be told"
        findings.warnings.append(_problem("edge_open", message, where))
    elif found.answer is Answer.REFUTED:
        reason = next(iter(reasons(place.document.validator(place.pointer), found.value)))
        message = (
            f"expected {source.name} to be what is needed, but its schema allows {_shown(found.value)}: "
            f"{reason.message} at {reason.pointer or '/'}"
        )
        findings.errors.append(_problem("edge", message, where))


@lru_cache(maxsize=2048)
def _answer(needed: bytes, pointer: str, given: bytes) -> Inclusion:
    return inclusion(Place(Document(orjson.loads(needed)), pointer), Document(orjson.loads(given)).top)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_SHOWN else text[: _VALUE_SHOWN - 3] + "..."


def _problem(code: str, message: str, pointer: str) -> Problem:
    return Problem(code=f"template.{code}", message=message, pointer=pointer)
