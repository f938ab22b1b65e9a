"""JSON Schemas as files: of every message and its envelope, and of each handler's input, result and error."""

import json
from collections.abc import Iterable

from stepbus.contracts.export.handlers import PARTS, handler_contracts
from stepbus.contracts.messages import SCHEMA_ROOT, ServedHandler
from stepbus.contracts.schemas import DIALECT, documents
from stepbus.contracts.template import TaskTemplate

_EXPORTED = ("messages/", "envelope/")


def schema_files(templates: Iterable[TaskTemplate] = (), served: Iterable[ServedHandler] = ()) -> dict[str, str]:
    """Give the text of each file by its path: `messages/<type>.v<n>.json`, `handlers/<handler>/<part>.json`."""
    files = {path: text for path, text in documents().items() if path.startswith(_EXPORTED)}
    for handler in handler_contracts(templates, served):
        for part in PARTS:
            address = f"{SCHEMA_ROOT}/handlers/{handler.name}/{part}"
            whole = {"$schema": DIALECT, "$id": address, "title": f"{part} of {handler.name}"} | handler.schema(part)
            files[f"handlers/{handler.name}/{part}.json"] = json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    return files
