"""The JSON Schemas of the contracts say what the classes say."""

import runpy
from pathlib import Path

import jsonschema_rs
import orjson
import pytest

from stepbus.contracts.schemas import DIALECT, FOLDER, documents, written
from stepbus.contracts.schemas.__main__ import main

ASYNCAPI = "channels/asyncapi.v1.json"
TEMPLATE = {"name": "a", "version": "1.0.0", "steps": [{"name": "s", "timeout": "30s", "retry": {"max": "1m"}}]}


def test_what_stands_in_the_folder_is_what_the_classes_give() -> None:
    assert written() == documents()


@pytest.mark.parametrize("path", sorted(documents().keys() - {ASYNCAPI}))
def test_every_schema_is_one_of_the_standard(path: str) -> None:
    schema = orjson.loads(documents()[path])

    assert schema["$schema"] == DIALECT
    assert jsonschema_rs.meta.is_valid(schema)


def test_no_two_schemas_have_one_address() -> None:
    addresses = [orjson.loads(text)["$id"] for path, text in documents().items() if path != ASYNCAPI]

    assert len(set(addresses)) == len(addresses)


@pytest.mark.parametrize(
    ("change", "is_valid"),
    [
        ({}, True),
        ({"version": "1.0"}, False),
        ({"nmae": "a"}, False),
        ({"timeout": "1w"}, False),
        ({"environments": {"production": {"timeout": None}}}, True),
        ({"environments": {"a b": {}}}, False),
    ],
)
def test_a_template_can_be_checked_by_its_schema_in_an_editor(change: dict[str, object], is_valid: bool) -> None:  # noqa: FBT001
    schema = orjson.loads(documents()["template/task.v2.json"])

    assert jsonschema_rs.is_valid(schema, TEMPLATE | change) is is_valid


def test_durations_by_default_are_written_as_people_write_them() -> None:
    step = orjson.loads(documents()["template/task.v2.json"])["$defs"]["StepDocument"]["properties"]

    assert step["timeout"]["default"] == "5m"


def test_the_schemas_are_written_and_those_of_no_class_are_taken_away(tmp_path: Path) -> None:
    (tmp_path / "messages").mkdir()
    (tmp_path / "messages" / "old.v1.json").write_text("{}")

    assert main([], tmp_path) == 0

    assert written(tmp_path) == documents()
    assert main(["--check"], tmp_path) == 0


def test_an_older_version_stays_as_it_was_released(tmp_path: Path) -> None:
    older = tmp_path / "template" / "task.v1.json"
    older.parent.mkdir()
    older.write_text("{}")

    assert main(["--check"], tmp_path) == 1
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    assert older.read_text() == "{}"


def test_the_module_can_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["schemas", "--check"])

    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / "__main__.py"), run_name="__main__")

    assert ended.value.code == 0


def test_a_check_prints_what_differs_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([], tmp_path)
    changed = tmp_path / "messages" / "step.completed.v1.json"
    changed.write_text(changed.read_text().replace('"maxLength": 256', '"maxLength": 255', 1))
    before = written(tmp_path)

    assert main(["--check"], tmp_path) == 1

    lines = capsys.readouterr().out.splitlines()
    assert "--- written/messages/step.completed.v1.json" in lines
    assert '-      "maxLength": 255,' in lines
    assert written(tmp_path) == before
