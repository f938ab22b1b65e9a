"""The AsyncAPI document of each bus holds against the standard, by the standard's own parser; a broken one does not."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from stepbus.contracts.export import BusName, asyncapi_of
from stepbus.contracts.messages import ServedHandler
from stepbus.contracts.template import TaskTemplate, from_mapping
from tests.support.golden import GOLDEN

ROOT = Path(__file__).parents[2]
CHECK = ROOT / "tools" / "asyncapi"
ENVIRONMENT = os.environ | {"PATH": f"{os.environ['PATH']}:{ROOT / '.venv' / 'bin'}"}
NODE: dict[str, Any] = {"properties": {"next": {"$ref": "#/$defs/node"}, "left": True}, "prefixItems": [False]}
TEMPLATE = from_mapping(
    {
        "name": "shop",
        "version": "1.0.0",
        "context_schema": {"$ref": "#/$defs/node", "$defs": {"node": {"$anchor": "n"} | NODE}},
        "steps": [
            {"name": "a", "handler": "shop.check", "result_schema": {"$ref": "#n", "$defs": {"x": {"$anchor": "n"}}}},
            {"name": "b", "handler": "shop.check", "queue": "slow.lane", "depends_on": ["a"], "result_schema": False},
            {"name": "c", "error_schema": {"required": ["code"]}, "input_schema": {"properties": {"context": True}}},
        ],
    }
)
SERVED = (ServedHandler(handler="shop.alone", contract=1, result_schema={"type": "object"}),)


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    subprocess.run(("make", "--no-print-directory", "asyncapi-check"), cwd=ROOT, env=ENVIRONMENT, check=True)


def checked(folder: Path, documents: Mapping[str, Any]) -> "subprocess.CompletedProcess[str]":
    files = []
    for name, document in documents.items():
        files.append(folder / f"{name}.json")
        files[-1].write_text(json.dumps(document))
    return subprocess.run(
        ("node", CHECK / "check.js", *files), env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def golden() -> TaskTemplate:
    return TaskTemplate.model_validate(json.loads((GOLDEN / "templates/process_order.v2.json").read_text()))


def test_the_documents_of_all_buses_hold_against_the_standard(tmp_path: Path) -> None:
    documents = {
        f"{bus}-{name}": asyncapi_of(bus, templates, served)
        for bus in get_args(BusName)
        for name, templates, served in (("empty", (), ()), ("full", (TEMPLATE, golden()), SERVED))
    }

    result = checked(tmp_path, documents)

    assert result.returncode == 0, result.stdout
    assert len(documents) == 10
    assert result.stdout.count(": AsyncAPI 3.0.0, ") == len(documents)


BROKEN: dict[str, tuple[str, Any, str]] = {
    "of-no-release": ("asyncapi", "9.0.0", "9.0.0"),
    "without-a-version": ("info", {"title": "stepbus"}, "version"),
    "of-an-unknown-action": ("operations", {"a": {"action": "do", "channel": {"$ref": "#/channels/tasks"}}}, "action"),
    "leading-nowhere": ("channels", {"tasks": {"messages": {"a": {"$ref": "#/components/messages/none"}}}}, "none"),
    "without-a-protocol": ("servers", {"bus": {"host": "localhost"}}, "protocol"),
    "of-a-wrong-binding": (
        "channels",
        {"tasks": {"bindings": {"kafka": {"partitions": 0, "bindingVersion": "0.5.0"}}}},
        "partitions",
    ),
}
"""What is put into a good document, by what is broken then, and what must be said of it."""


def test_a_broken_document_does_not(tmp_path: Path) -> None:
    document = asyncapi_of("kafka", (TEMPLATE,))
    broken = {name: document | {part: value} for name, (part, value, _) in BROKEN.items()}

    result = checked(tmp_path, broken | {"good": document})

    assert result.returncode == 1, result.stderr
    lines = result.stdout.splitlines()
    for name, (_, _, said) in BROKEN.items():
        assert any(f"{name}.json#/" in line and said in line for line in lines), name
    assert [line for line in lines if "good.json" in line] == [
        f"{tmp_path / 'good.json'}: AsyncAPI 3.0.0, {len(document['channels'])} channels"
    ]
