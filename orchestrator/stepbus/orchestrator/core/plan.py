"""A template made ready to run: steps by index and edges in both directions, so that readiness looks up no name."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Self

from stepbus.contracts.messages import StepError
from stepbus.contracts.problems import MAX_PROBLEMS, Problem
from stepbus.contracts.schema import compile_schema
from stepbus.contracts.schema.walk import Schema
from stepbus.contracts.template import StepTemplate, TaskTemplate

TOLD_OF_AN_ATTEMPT: Final = 20
"""How many problems of one answer are kept in the log."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What all tasks of one template share.

    Shape: `dependencies[i]` and `dependents[i]` are the indices of the steps that step `i` waits for and that wait for
    it; `waiting[i]` is how many it waits for, and `roots` are those that wait for none.
    """

    template: TaskTemplate
    steps: tuple[StepTemplate, ...]
    index: Mapping[str, int]
    dependencies: tuple[tuple[int, ...], ...]
    dependents: tuple[tuple[int, ...], ...]
    waiting: "array[int]"
    roots: tuple[int, ...]

    @classmethod
    def of(cls, template: TaskTemplate) -> Self:
        """Give the plan of a template that was checked: names are unique, edges lead to steps, there is no cycle."""
        index = {step.name: number for number, step in enumerate(template.steps)}
        dependencies = tuple(tuple(index[name] for name in step.depends_on) for step in template.steps)
        dependents: list[list[int]] = [[] for _ in template.steps]
        for number, needed in enumerate(dependencies):
            for dependency in needed:
                dependents[dependency].append(number)
        waiting = array("H", map(len, dependencies))
        roots = tuple(number for number, count in enumerate(waiting) if count == 0)
        return cls(template, template.steps, index, dependencies, tuple(map(tuple, dependents)), waiting, roots)

    def context_problems(self, context: Mapping[str, Any]) -> tuple[Problem, ...]:
        """Give the ways in which a task's context breaks the template's `context_schema`."""
        schema = self.template.context_schema
        return () if schema is None else _problems(schema, context, "/context", MAX_PROBLEMS)

    def result_problems(self, number: int, result: Any) -> tuple[Problem, ...]:
        """Give the first ways in which a result breaks the step's `result_schema`."""
        schema = self.steps[number].result_schema
        return () if schema is None else _problems(schema, result, "/result", TOLD_OF_AN_ATTEMPT)

    def error_problems(self, number: int, error: StepError) -> tuple[Problem, ...]:
        """Give the first ways in which a failure breaks the step's `error_schema`."""
        schema = self.steps[number].error_schema
        if schema is None:
            return ()
        return _problems(schema, error.model_dump(mode="json", exclude_none=True), "/error", TOLD_OF_AN_ATTEMPT)


def _problems(schema: Schema, value: Any, pointer: str, limit: int) -> tuple[Problem, ...]:
    return tuple(islice(compile_schema(schema).problems(value, pointer), limit))
