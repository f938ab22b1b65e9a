"""`stepbus contracts`: versions compared, from files and folders."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from stepbus.orchestrator.cli import app

TEMPLATE = "name: t\nversion: {version}\nsteps:\n  - name: a\n    timeout: {timeout}\n"
ASYNCAPI = {"asyncapi": "3.0.0"}


def written(folder: Path, **documents: Any) -> str:
    """Write documents into a folder, each by its name, and give the folder's name."""
    for name, document in documents.items():
        file = folder / name.replace("__", "/")
        file = file.with_suffix(".yaml" if isinstance(document, str) else ".json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(document.encode() if isinstance(document, str) else orjson.dumps(document))
    return str(folder)


def diff(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["contracts", "diff", *arguments])


def test_two_templates_are_compared_and_a_breach_ends_with_1(tmp_path: Path) -> None:
    written(tmp_path, old=TEMPLATE.format(version="1.0.0", timeout="30s"))
    written(tmp_path, new=TEMPLATE.format(version="1.1.0", timeout="10s"))

    result = diff(str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml"))
    assert result.exit_code == 1
    head, row = result.stdout.splitlines()
    assert head.split() == ["EFFECT", "CHANGE", "AT", "FROM,", "TO", "WHY"]
    assert row.startswith('breaking  timeout.shortened  /steps/0/timeout  "30s" -> "10s"')

    backward = diff(str(tmp_path / "new.yaml"), str(tmp_path / "old.yaml"), "--json")
    changes = {change["code"]: change["breaking"] for change in orjson.loads(backward.stdout)["changes"]}
    assert changes == {"timeout.lengthened": False, "version.not_raised": True}


@pytest.mark.parametrize(
    ("arguments", "exit_code"), [((), 0), (("--direction", "input"), 1), (("--direction", "output"), 0)]
)
def test_which_way_the_values_of_a_schema_go_is_said_by_its_name_or_an_option(
    tmp_path: Path, arguments: tuple[str, ...], exit_code: int
) -> None:
    written(tmp_path, old={}, result={"type": "object"})

    result = diff(str(tmp_path / "old.json"), str(tmp_path / "result.json"), "--json", *arguments)

    assert result.exit_code == exit_code
    assert orjson.loads(result.stdout) == {
        "breaking": exit_code == 1,
        "changes": [
            {
                "path": "",
                "code": "type.narrowed",
                "pointer": "/type",
                "old": None,
                "new": "object",
                "breaking": exit_code == 1,
                "why": "values of some kinds are refused that were allowed",
            }
        ],
    }


def test_folders_are_compared_file_by_file(tmp_path: Path) -> None:
    old = written(tmp_path / "old", a__input={"type": "string"}, b__input={}, asyncapi=ASYNCAPI)
    new = written(tmp_path / "new", a__input={"type": ["string", "null"]}, asyncapi=ASYNCAPI | {"info": {}})

    result = diff(old, new)

    assert result.exit_code == 1
    assert [line.split()[:3] for line in result.stdout.splitlines()[1:]] == [
        ["breaking", "document.removed", "b/input.json#"],
        ["compatible", "type.widened", "a/input.json#/type"],
    ]


def test_what_is_the_same_has_no_changes(tmp_path: Path) -> None:
    folder = written(tmp_path, a={"enum": ["x" * 100]})

    result = diff(folder, folder)

    assert (result.exit_code, result.stdout) == (0, "no changes\n")


def test_a_long_value_is_shown_in_part(tmp_path: Path) -> None:
    written(tmp_path, old={}, new={"enum": ["x" * 100]})

    assert "x... " in diff(str(tmp_path / "old.json"), str(tmp_path / "new.json")).stdout


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("bad.yaml", b"[", "yaml.malformed"),
        ("bad.json", b'{"type": "wrong"}', "schema.invalid"),
        ("bad.json", b"[]", "schema.invalid"),
        ("bad.json", b'{"asyncapi": "3.0.0"}', "schema.invalid"),
        ("bad.yaml", b"\xff", "yaml.encoding"),
        ("bad.yaml", b"steps: 7", "template.type"),
    ],
)
def test_what_is_no_contract_is_refused_with_its_file(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    written(tmp_path, good={})
    (tmp_path / name).write_bytes(content)

    result = diff(str(tmp_path / "good.json"), str(tmp_path / name), "--json")

    assert result.exit_code == 1
    error = orjson.loads(result.stdout)["error"]
    assert code in {error["code"], *(each["code"] for each in error["errors"])}


def test_a_folder_without_contracts_and_a_file_that_is_not_there_are_wrong_usage(tmp_path: Path) -> None:
    assert diff(str(tmp_path), str(tmp_path)).exit_code == 2
    assert diff(str(tmp_path / "none.json"), str(tmp_path)).exit_code == 2
