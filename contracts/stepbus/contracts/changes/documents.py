"""What changed between two sets of documents, templates and schemas, each known by its path."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from stepbus.contracts.changes.catalogue import Change, Direction, change
from stepbus.contracts.changes.schemas import schema_changes
from stepbus.contracts.changes.templates import template_changes
from stepbus.contracts.messages import PUBLISHED
from stepbus.contracts.problems import Refused, refuse
from stepbus.contracts.schema import schema_problems
from stepbus.contracts.template import TaskTemplate

Document = TaskTemplate | dict[str, Any] | bool

_TOLD: Final = frozenset(message.TYPE for message in PUBLISHED)
_GIVEN: Final = frozenset({"result", "error", "result_schema", "error_schema"})


def direction_of(path: str) -> Direction:
    """Give which way the values of a schema go, by the name of its file.

    Results, errors and the messages that stepbus sends are outputs; all else is an input.
    """
    name = PurePosixPath(path).name.rpartition(".")[0]
    is_output = name.rpartition(".v")[0] in _TOLD or name.rpartition(".")[2] in _GIVEN
    return "output" if is_output else "input"


def document_changes(
    old: Mapping[str, Document], new: Mapping[str, Document], direction: Direction | None = None
) -> Iterator[tuple[str, Change]]:
    """Give what changed of each document, by its path; `direction` stands for that of every path.

    Raises:
        Refused: a document is no schema that can be used, or two under one path are a template and a schema.
    """
    for path in sorted(old.keys() | new.keys()):
        if path not in new:
            yield path, change("document.removed", "", None, None)
        elif path not in old:
            yield path, change("document.added", "", None, None)
        else:
            found = _changes(old[path], new[path], direction or direction_of(path))
            yield from ((path, each) for each in found)


def _changes(old: Document, new: Document, direction: Direction) -> list[Change]:
    if isinstance(old, TaskTemplate) and isinstance(new, TaskTemplate):
        return template_changes(old, new)
    if isinstance(old, TaskTemplate) or isinstance(new, TaskTemplate):
        raise refuse("template.type", "expected two templates or two schemas, found one of each")
    problems = [problem for schema in (old, new) for problem in schema_problems(schema)]
    if problems:
        raise Refused(problems)
    return schema_changes(old, new, direction)
