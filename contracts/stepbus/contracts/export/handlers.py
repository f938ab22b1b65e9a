"""What each handler receives and gives: put together from the templates whose steps name it, and what workers say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepbus.contracts.inclusion import Document
from stepbus.contracts.inclusion.place import written
from stepbus.contracts.messages import ServedHandler
from stepbus.contracts.schema import Schema
from stepbus.contracts.template import StepTemplate, TaskTemplate, inputs_schema

PARTS = ("input", "result", "error")


@dataclass(slots=True)
class HandlerContract:
    """The schemas of one handler, of each part all that are said; `queues` are where its jobs are."""

    name: str
    queues: set[str] = field(default_factory=set)
    said: dict[str, list[Schema]] = field(default_factory=lambda: {part: [] for part in PARTS})

    def schema(self, part: str, pointer: str = "#") -> dict[str, Any]:
        """Give the schema of a part, as it stands at a place of a larger document; where several are said, any of them.

        Where one says nothing, nothing is known: then all is allowed.
        """
        schemas = list({written(schema): schema for schema in self.said[part]}.values())
        if any(schema in ({}, True) for schema in schemas):
            return {}
        if len(schemas) == 1:
            standing = Document(schemas[0]).standing_at(pointer)
            return {"not": {}} if standing is False else dict(standing)
        return {"anyOf": [Document(each).standing_at(f"{pointer}/anyOf/{n}") for n, each in enumerate(schemas)]}


def handler_contracts(
    templates: Iterable[TaskTemplate], served: Iterable[ServedHandler] = ()
) -> Sequence[HandlerContract]:
    """Give the contract of each handler, by name: of what templates say; of what workers say where no template does."""
    found: dict[str, HandlerContract] = {}
    for template in templates:
        steps = {step.name: step for step in template.steps}
        for step in template.steps:
            contract = found.setdefault(step.handler, HandlerContract(step.handler))
            contract.queues.add(step.queue)
            contract.said["input"].append(_input(template, step, steps))
            contract.said["result"].append(_or_any(step.result_schema))
            contract.said["error"].append(_or_any(step.error_schema))
    of_templates = set(found)
    for handler in served:
        if handler.handler not in of_templates:
            contract = found.setdefault(handler.handler, HandlerContract(handler.handler, {handler.handler}))
            for part in PARTS:
                contract.said[part].append(_or_any(getattr(handler, f"{part}_schema")))
    return [found[name] for name in sorted(found)]


def _input(template: TaskTemplate, step: StepTemplate, steps: dict[str, StepTemplate]) -> Schema:
    """Give what a step receives, as far as it is declared, and what it needs of that."""
    declared = inputs_schema(template, step, steps)
    if step.input_schema is None:
        return declared
    parts: list[Any] = [declared, step.input_schema]
    return {"allOf": [Document(part).standing_at(f"#/allOf/{number}") for number, part in enumerate(parts)]}


def _or_any(schema: Schema | None) -> Schema:
    return True if schema is None else schema
