"""`stepbus contracts`: versions compared, schemas and AsyncAPI written, from files and folders."""

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
    return contracts("diff", *arguments)


def contracts(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["contracts", *arguments])


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


def test_schemas_are_exported_as_files_that_can_be_compared(tmp_path: Path) -> None:
    written(tmp_path, old=TEMPLATE.format(version="1.0.0", timeout="30s"))
    written(tmp_path, new=TEMPLATE.format(version="1.0.0", timeout="30s") + "    result_schema: {type: string}\n")
    folders = tmp_path / "of-old", tmp_path / "of-new"
    for file, folder in zip(("old.yaml", "new.yaml"), folders, strict=True):
        result = contracts("export", str(folder), "--template", str(tmp_path / file), "--json")
        assert result.exit_code == 0
        files = orjson.loads(result.stdout)["files"]
        assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.json")) == files
        assert {"handlers/default.a/input.json", "messages/task.requested.v1.json"} <= set(files)

    forward, backward = diff(*map(str, folders), "--json"), diff(*map(str, reversed(folders)), "--json")
    assert (forward.exit_code, backward.exit_code) == (0, 1)
    (change,) = orjson.loads(backward.stdout)["changes"]
    assert (change["path"], change["code"]) == ("handlers/default.a/result.json", "type.widened")


@pytest.mark.parametrize("bus", ["nats", "kafka", "rabbitmq", "redis", "memory"])
def test_a_document_is_written_for_any_bus(tmp_path: Path, bus: str) -> None:
    written(tmp_path, order=TEMPLATE.format(version="1.0.0", timeout="30s"))
    out, of = tmp_path / "asyncapi.json", ("--template", str(tmp_path / "order.yaml"), "--bus", bus)

    printed = contracts("asyncapi", *of, "--prefix", "acme", "--partitions", "3", "--host", "broker:1")
    kept = contracts("asyncapi", *of, "--prefix", "acme", "--partitions", "3", "--host", "broker:1", "--out", str(out))

    assert printed.exit_code == kept.exit_code == 0
    assert printed.stdout == out.read_text()
    document = orjson.loads(printed.stdout)
    assert list(document["servers"]) == [bus]
    assert "jobs.default.a" in document["channels"]
    channels, messages = len(document["channels"]), len(document["components"]["messages"])
    assert kept.stdout == f"{channels} channels and {messages} messages are in {out}\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [(("--bus", "pigeon"), 2), (("--partitions", "0"), 2), (("--prefix", "no spaces"), 1), (("--prefix", ""), 1)],
)
def test_what_no_bus_can_be_is_refused(tmp_path: Path, arguments: tuple[str, ...], exit_code: int) -> None:
    written(tmp_path, order=TEMPLATE.format(version="1.0.0", timeout="30s"))

    result = contracts("asyncapi", "--template", str(tmp_path / "order.yaml"), *arguments)

    assert result.exit_code == exit_code


def test_without_files_and_without_a_server_the_reason_is_told(tmp_path: Path) -> None:
    result = contracts("export", str(tmp_path / "out"), "--url", "http://127.0.0.1:9", "--json")

    assert result.exit_code == 1
    assert orjson.loads(result.stdout)["error"]["code"] == "api.unreachable"
    assert not (tmp_path / "out").exists()
