"""The check of a template: every problem of it at once, each with its place."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from stepbus.contracts.document import Document, read_json, read_yaml
from stepbus.contracts.problems import Problem, Refused, refuse
from stepbus.contracts.template.duration import AS_WRITTEN
from stepbus.contracts.template.edges import edge_findings
from stepbus.contracts.template.model import TaskTemplate
from stepbus.contracts.template.relations import relation_problems, size_problems
from stepbus.contracts.template.resolve import resolve
from stepbus.contracts.template.shape import shape_problems
from stepbus.contracts.template.suggest import Suggestions

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
MAX_TOLD = 1_000

Format = Literal["yaml", "json"]
_READERS: Final = {"yaml": read_yaml, "json": read_json}


def check(document_text: str | bytes, format: Format, environment: str | None = None) -> TaskTemplate:  # noqa: A002
    """Give the template that a text holds, as it runs in an environment, or in none.

    Raises:
        Refused: with every problem of the text, of the template and of each of its environments.
    """
    document = _READERS[format](_decoded(document_text, format))
    problems = list(document.problems)
    if document.whole:
        spoilt = {problem.pointer for problem in problems}
        problems += [problem for problem in _problems(document.value, environment) if not _under(problem, spoilt)]
    problems = problems or list(_edges(document.value))
    if problems:
        raise Refused(_in_order(problems, document))
    return _resolved(document.value, environment)


def from_mapping(value: Mapping[str, Any], environment: str | None = None) -> TaskTemplate:
    """Give the template that a parsed document holds, as it runs in an environment, or in none.

    Raises:
        Refused: with every problem of the template and of each of its environments; without lines.
    """
    problems = list(_problems(value, environment)) or list(_edges(value))
    if problems:
        raise Refused(_at_most(problems))
    return _resolved(value, environment)


def _decoded(text: str | bytes, format: Format) -> str:  # noqa: A002
    if len(text) > MAX_DOCUMENT_BYTES:
        raise refuse("template.too_large", f"expected at most {MAX_DOCUMENT_BYTES} bytes, found {len(text)}")
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        message = f"expected UTF-8, found byte 0x{text[error.start]:02x} at byte {error.start}"
        raise refuse(f"{format}.encoding", message, line=text.count(b"\n", 0, error.start) + 1) from error


def _problems(document: Any, environment: str | None) -> Iterator[Problem]:
    suggestions = Suggestions()
    if not isinstance(document, Mapping):
        yield from shape_problems(document, suggestions)
        return
    too_large = list(size_problems(document))
    if too_large:
        yield from too_large
        return
    yield from shape_problems(document, suggestions)
    yield from relation_problems(document, environment, suggestions)


def _edges(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Give the edges that can't fit, as the document stands and in each environment."""
    environments: Mapping[str, Any] = document.get("environments", {})
    parts = (document, *environments.values())
    if not any("input_schema" in step for part in parts for step in part.get("steps", ())):
        return
    told: set[Problem] = set()
    for environment in (None, *environments):
        for problem in edge_findings(_resolved(document, environment)).errors:
            if environment is None:
                told.add(problem)
                yield problem
            elif problem not in told:
                yield problem.model_copy(update={"message": f"{problem.message}, in the environment {environment!r}"})


def _resolved(document: Mapping[str, Any], environment: str | None) -> TaskTemplate:
    return TaskTemplate.model_validate(resolve(document, environment), context=AS_WRITTEN)


def _under(problem: Problem, pointers: set[str]) -> bool:
    """Say whether a part that could not be read is what the problem is about."""
    pointer = problem.pointer
    while pointer not in pointers:
        if not pointer:
            return False
        pointer = pointer.rpartition("/")[0]
    return True


def _in_order(problems: list[Problem], document: Document) -> list[Problem]:
    """Give the problems as they stand in the text, each with its line."""
    placed = [
        problem if problem.line else problem.model_copy(update={"line": document.line_of(problem.pointer)})
        for problem in problems
    ]
    return _at_most(sorted(placed, key=lambda problem: problem.line or 0))


def _at_most(problems: list[Problem]) -> list[Problem]:
    left_out = len(problems) - MAX_TOLD
    if left_out <= 0:
        return problems
    more = Problem(code="template.too_many_problems", message=f"expected fewer problems, found {left_out} more")
    return [*problems[:MAX_TOLD], more]
