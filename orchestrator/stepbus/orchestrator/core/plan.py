"""A template made ready to run: steps by index and edges in both directions, so that readiness looks up no name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from stepbus.contracts.problems import Problem
from stepbus.contracts.schema import compile_schema
from stepbus.contracts.template import StepTemplate, TaskTemplate
from stepbus.contracts.template.model import JsonSchema


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What all tasks of one template share.

    Shape: `dependencies[i]` and `dependents[i]` are the indices of the steps that step `i` waits for and that wait for
    it.
    """

    template: TaskTemplate
    steps: tuple[StepTemplate, ...]
    index: Mapping[str, int]
    dependencies: tuple[tuple[int, ...], ...]
    dependents: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, template: TaskTemplate) -> Self:
        """Give the plan of a template that was checked: names are unique, edges lead to steps, there is no cycle."""
        index = {step.name: number for number, step in enumerate(template.steps)}
        dependencies = tuple(tuple(index[name] for name in step.depends_on) for step in template.steps)
        dependents: list[list[int]] = [[] for _ in template.steps]
        for number, needed in enumerate(dependencies):
            for dependency in needed:
                dependents[dependency].append(number)
        return cls(template, template.steps, index, dependencies, tuple(map(tuple, dependents)))

    def context_problems(self, context: Mapping[str, Any]) -> Iterator[Problem]:
        """Give each way in which a task's context breaks the template's `context_schema`."""
        return _problems(self.template.context_schema, context, "/context")

    def result_problems(self, number: int, result: Any) -> Iterator[Problem]:
        """Give each way in which a result breaks the step's `result_schema`."""
        return _problems(self.steps[number].result_schema, result, "/result")

    def error_problems(self, number: int, error: Mapping[str, Any]) -> Iterator[Problem]:
        """Give each way in which a failure breaks the step's `error_schema`."""
        return _problems(self.steps[number].error_schema, error, "/error")


def _problems(schema: JsonSchema | None, value: Any, pointer: str) -> Iterator[Problem]:
    return iter(()) if schema is None else compile_schema(schema).problems(value, pointer)
