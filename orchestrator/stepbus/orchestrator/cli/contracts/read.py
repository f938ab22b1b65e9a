"""Contracts as they stand in files: templates and schemas, as YAML or JSON, alone or in folders."""

from pathlib import Path
from typing import Any

import typer

from stepbus.contracts.changes import Document
from stepbus.contracts.document import read_json, read_yaml
from stepbus.contracts.problems import Refused, refuse
from stepbus.contracts.template import check
from stepbus.orchestrator.cli.documents import TemplateText, read_template

_SUFFIXES = frozenset({".json", ".yaml", ".yml"})


def documents_at(path: Path) -> dict[str, Document]:
    """Give the documents of a folder by their paths in it; of a file, the one document under "".

    AsyncAPI documents are passed over: they follow from the others.

    Raises:
        Refused: a document is neither a template nor a schema; its problems name the file.
        typer.BadParameter: nothing can be read there.
    """
    if not path.is_dir():
        document = _document(path)
        if document is None:
            raise refuse(
                "schema.invalid", f"expected a template or a JSON Schema, found an AsyncAPI document in {path}"
            )
        return {"": document}
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file())
    found = {file.relative_to(path).as_posix(): _document(file) for file in files}
    if not found:
        raise typer.BadParameter(f"expected templates or schemas in the folder {path}, found none")
    return {name: document for name, document in found.items() if document is not None}


def _document(file: Path) -> Document | None:
    try:
        return _read(read_template(file))
    except Refused as refused:
        problems = (each.model_copy(update={"message": f"{file}: {each.message}"}) for each in refused.problems)
        raise Refused(problems) from refused


def _read(source: TemplateText) -> Document | None:
    value = _value(source)
    match value:
        case {"asyncapi": _}:
            return None
        case {"steps": _}:
            return check(source.text, source.format)
        case dict() | bool():
            return value
        case _:
            raise refuse("schema.invalid", "expected a template or a JSON Schema, an object or true or false")


def _value(source: TemplateText) -> Any:
    try:
        text = source.text.decode()
    except UnicodeDecodeError as error:
        raise refuse(f"{source.format}.encoding", f"expected UTF-8, but {error.reason}") from error
    document = read_json(text) if source.format == "json" else read_yaml(text)
    if document.problems:
        raise Refused(document.problems)
    return document.value
