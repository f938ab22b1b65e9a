"""`stepbus contracts diff`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from stepbus.contracts.changes import Change, direction_of, document_changes
from stepbus.orchestrator.cli.contracts.read import documents_at
from stepbus.orchestrator.cli.verb import AsJson, Verb, answer, table

app = typer.Typer(add_completion=False)

_SHOWN = 60


@app.command(cls=Verb)
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A template, a JSON Schema, or a folder of them.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="What it was changed to.")],
    *,
    direction: Annotated[
        Literal["input", "output"] | None,
        typer.Option(
            "--direction", help="Which way the values of the schemas go; by the names of the files if not given."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Name what changed between two versions of a contract, and what of it is breaking. Ends with 1 if anything is.

    With --json: {"breaking": bool, "changes": [{"path", "code", "pointer", "old", "new", "breaking", "why"}]}.
    """
    before, after = documents_at(old), documents_at(new)
    if before.keys() != {""}:
        changes = list(document_changes(before, after, direction))
    else:
        changes = list(document_changes(before, after, direction or direction_of(new.name)))
    is_breaking = any(change.breaking for _, change in changes)
    listed = [{"path": path} | change._asdict() for path, change in changes]
    answer({"breaking": is_breaking, "changes": listed}, lambda: _shown(changes), as_json=as_json)
    if is_breaking:
        raise typer.Exit(1)


def _shown(changes: Sequence[tuple[str, Change]]) -> str:
    in_order = sorted(changes, key=lambda each: not each[1].breaking)
    rows = [
        (
            "breaking" if change.breaking else "compatible",
            change.code,
            f"{path}{'#' if path else ''}{change.pointer}" or "/",
            f"{_value(change.old)} -> {_value(change.new)}",
            change.why,
        )
        for path, change in in_order
    ]
    return table(("effect", "change", "at", "from, to", "why"), rows) if rows else "no changes"


def _value(value: Any) -> str:
    text = "-" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
