"""How every verb fails and answers."""

import gc
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import orjson
import typer
from typer.core import TyperCommand

from stepbus.orchestrator.cli.failure import FORESEEN, explained, report
from stepbus.orchestrator.cli.printable import one_line, printable

DEFAULT_URL = "http://127.0.0.1:8300"
"""Where the API of `stepbus dev` is."""

AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on stdout.")]


class Verb(TyperCommand):
    """A command that says what it could not do, and ends with 1, where others would show a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        if not gc.isenabled():
            gc.freeze()  # what was imported stays
            gc.enable()
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # whoever read our output has gone; typer ends quietly
        except FORESEEN as error:
            report(explained(error), as_json=bool(ctx.params.get("as_json")))
            raise typer.Exit(1) from error


def answer(document: Any, text: str | Callable[[], str], *, as_json: bool) -> None:
    """Print the document as JSON, or else the text."""
    if as_json:
        typer.echo(orjson.dumps(document, default=str).decode())
        return
    shown = printable(text if isinstance(text, str) else text())
    if shown:
        typer.echo(shown)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give the rows in columns under a head, none cut; "none" if there are none."""
    cells = [[word.upper() for word in head], *([one_line(cell) for cell in row] for row in rows)]
    if len(cells) == 1:
        return "none"
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def paired(pairs: Iterable[tuple[str, object]]) -> str:
    """Give names and values in two columns; what is None or "" is left out."""
    shown = [(name, one_line(str(value))) for name, value in pairs if value is not None and value != ""]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in shown)
