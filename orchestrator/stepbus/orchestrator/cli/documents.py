"""What the user hands over in files and options: templates, and JSON values."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from stepbus.contracts import codec
from stepbus.contracts.problems import Refused

STDIN = Path("-")
Format = Literal["yaml", "json"]

TemplateFile = Annotated[Path, typer.Argument(metavar="FILE", help="A template as YAML or JSON; - is stdin.")]
Environment = Annotated[
    str | None,
    typer.Option("--environment", envvar="STEPBUS_ENVIRONMENT", help="Which of the template's environments to merge."),
]


@dataclass(frozen=True)
class TemplateText:
    """The text of a template as it was handed over, and what it is written in."""

    text: bytes
    format: Format

    def line(self, number: int) -> str:
        """Give one line of the text, "" if there is none."""
        lines = self.text.splitlines()
        return lines[number - 1].decode(errors="replace") if 0 < number <= len(lines) else ""


def read_template(file: Path) -> TemplateText:
    """Give the text of a template file; JSON by its name, or on stdin by its first character.

    Raises:
        typer.BadParameter: the file can't be read.
    """
    text = read_bytes(file, "FILE")
    is_json = file.suffix.lower() == ".json" or (file == STDIN and text.lstrip()[:1] in {b"{", b"["})
    return TemplateText(text, "json" if is_json else "yaml")


def read_bytes(file: Path, hint: str) -> bytes:
    """Give what a file, or stdin for `-`, holds.

    Raises:
        typer.BadParameter: it can't be read.
    """
    try:
        return sys.stdin.buffer.read() if file == STDIN else file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"can't read {file}: {error.strerror or error}", param_hint=hint) from error


def json_option(given: str, hint: str) -> Any:
    """Give the value of an option that is JSON, or names a file that holds it, as `@FILE` or `FILE`.

    Raises:
        typer.BadParameter: it isn't JSON.
    """
    named = given.removeprefix("@")
    if named != given or (not given.lstrip().startswith(("{", "[")) and Path(named).is_file()):
        return json_value(read_bytes(Path(named), hint), hint)
    return json_value(given.encode(errors="surrogateescape"), hint)


def json_value(body: bytes, hint: str) -> Any:
    """Give the value that the bytes hold.

    Raises:
        typer.BadParameter: they aren't JSON.
    """
    try:
        return codec.decode(body, limit=len(body))
    except Refused as refused:
        raise typer.BadParameter(str(refused), param_hint=hint) from refused
