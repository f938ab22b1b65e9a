"""The JSON Schemas (draft 2020-12) of all that crosses our border or is stored, generated from the classes themselves.

They stand in folders beside this file, `<group>/<name>.v<version>.json`, older versions as they were released:
`messages` (what `data` is, by the event's type), `envelope`, `events` (the data of each stored event) and `template`
(the document that people write). `channels` holds the channels and the messages on them, as AsyncAPI describes them.

`python -m stepbus.contracts.schemas` writes them, and with `--check` says what differs.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from stepbus.contracts.envelope import CloudEvent
from stepbus.contracts.events import EVENTS, Event
from stepbus.contracts.messages import MESSAGES, SCHEMA_ROOT
from stepbus.contracts.schemas.asyncapi import asyncapi
from stepbus.contracts.schemas.generator import Generator
from stepbus.contracts.template import TaskDocument

__all__ = ["DIALECT", "FOLDER", "Generator", "documents", "shape_of", "written"]

FOLDER: Final = Path(__file__).parent
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def documents() -> dict[str, str]:
    """Give each schema's text by its path below this folder."""
    schemas: dict[str, Mapping[str, Any]] = {
        "channels/asyncapi.v1.json": asyncapi(),
        "envelope/cloudevent.v1.json": _schema(CloudEvent, f"{SCHEMA_ROOT}/envelope/1"),
        f"template/task.v{TaskDocument.VERSION}.json": _schema(
            TaskDocument, f"{SCHEMA_ROOT}/template/{TaskDocument.VERSION}"
        ),
    }
    for message in MESSAGES:
        schemas[f"messages/{message.TYPE}.v{message.VERSION}.json"] = _schema(message, message.dataschema())
    for event in EVENTS:
        address = f"{SCHEMA_ROOT}/events/{event.TYPE}/{event.VERSION}"
        schemas[f"events/{event.TYPE}.v{event.VERSION}.json"] = _schema(event, address)
    return {path: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for path, schema in sorted(schemas.items())}


def written(folder: Path = FOLDER) -> dict[str, str]:
    """Give the text of each schema that stands in a folder, by its path in it; of each shape, the newest version."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.glob("*/*.json")}
    newest: dict[str, str] = {}
    for path in sorted(paths, key=_version):
        newest[shape_of(path)] = path
    return {path: paths[path].read_text("utf-8") for path in newest.values()}


def shape_of(path: str) -> str:
    """Give what a schema's path says of its shape, whatever the version."""
    return path.rpartition(".v")[0]


def _version(path: str) -> int:
    return int(path.removesuffix(".json").rpartition(".v")[2])


def _schema(shape: type[BaseModel | Event], address: str) -> dict[str, Any]:
    return {"$schema": DIALECT, "$id": address, **TypeAdapter(shape).json_schema(schema_generator=Generator)}
