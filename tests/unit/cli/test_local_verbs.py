"""The verbs that need no server."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from stepbus.orchestrator.cli import app

DIAMOND = """\
name: order
namespace: shop
version: 1.0.0
steps:
  - {name: validate, retry: {max_attempts: 2, initial: 1s}}
  - {name: stock, depends_on: [validate]}
  - {name: pay, depends_on: [validate]}
  - {name: ship, depends_on: [stock, pay]}
environments:
  strict: {steps: [{name: pay, retry: {max_attempts: 1}}]}
"""
HEAVY = ("httpx", "yaml", "rich", "pydantic", "sqlite3", "uvicorn", "starlette", "rustworkx", "faststream")


def stepbus(*arguments: str, given: str | bytes | None = None, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=given, env=env)


@pytest.fixture
def diamond(tmp_path: Path) -> str:
    file = tmp_path / "order.yaml"
    file.write_text(DIAMOND)
    return str(file)


def test_a_good_template_is_valid_and_summed_up(diamond: str) -> None:
    result = stepbus("template", "check", diamond)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[:5] == [
        "valid   shop/order 1.0.0",
        "steps   4",
        "edges   4",
        "roots   1",
        "levels  3",
    ]


def test_a_good_template_is_valid_for_a_program(diamond: str) -> None:
    result = stepbus("template", "check", diamond, "--json")

    assert result.exit_code == 0
    assert orjson.loads(result.stdout) == {"valid": True, "errors": []}


def test_a_bad_template_is_refused_with_everything_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("name: order\nversion: one\nsteps:\n  - {name: a, depend_on: [b]}\n")

    result = stepbus("template", "check", str(file), "--json")

    assert result.exit_code == 1
    answer = orjson.loads(result.stdout)
    assert answer.keys() == {"valid", "errors"}
    assert answer["valid"] is False
    assert [(error["code"], error["pointer"], error["line"]) for error in answer["errors"]] == [
        ("template.version", "/version", 2),
        ("template.unknown_key", "/steps/0/depend_on", 4),
    ]
    assert all(error.keys() == {"code", "pointer", "line", "message"} for error in answer["errors"])


def test_a_bad_template_is_shown_with_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("name: order\nversion: 1.0.0\nsteps:\n  - name: a\n    depends_on: [a]\n")

    result = stepbus("template", "check", str(file))

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "error[template.self_dependency] at /steps/0/depends_on/0 (line 5): " in result.stderr
    assert "     5 |     depends_on: [a]\n             ^^^^^^^^^^^^^^^" in result.stderr


def test_what_can_not_be_told_of_a_template_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "open.yaml"
    file.write_text("name: order\nversion: 1.0.0\nsteps:\n  - name: a\n    input_schema: {required: [context, note]}\n")

    for_program, for_person = stepbus("template", "check", str(file), "--json"), stepbus("template", "check", str(file))

    assert for_program.exit_code == for_person.exit_code == 0
    (warning,) = orjson.loads(for_program.stdout)["warnings"]
    assert (warning["code"], warning["pointer"]) == ("template.edge_open", "/steps/0/input_schema")
    assert "warning[template.edge_open] at /steps/0/input_schema: " in for_person.stderr


def test_a_template_can_come_from_a_pipe() -> None:
    as_yaml = stepbus("template", "check", "-", given=DIAMOND)
    as_json = stepbus("template", "check", "-", given='{"name": "a", "version": "1.0.0", "steps": [{"name": "b"}]}')

    assert as_yaml.exit_code == as_json.exit_code == 0


@pytest.mark.parametrize("content", [b"", b"\xff", b"\x00", b"[", b"- a", b"&a [*a]"])
@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_file_that_holds_no_template_is_refused_with_a_code(content: bytes, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"strange.{suffix}"
    file.write_bytes(content)

    result = stepbus("template", "check", str(file), "--json")

    assert result.exit_code == 1
    answer = orjson.loads(result.stdout)
    assert answer["valid"] is False
    assert answer["errors"]


def test_a_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    for file in (tmp_path / "missing.yaml", tmp_path):
        result = stepbus("template", "check", str(file))

        assert result.exit_code == 2
        assert "can't read" in result.stderr


def test_an_environment_is_merged_before_the_check(diamond: str) -> None:
    assert stepbus("template", "check", diamond, "--environment", "strict").exit_code == 0
    assert stepbus("template", "check", diamond, "--environment", "nowhere").exit_code == 1
    assert stepbus("template", "check", diamond, env={"STEPBUS_ENVIRONMENT": "nowhere"}).exit_code == 1


def test_a_template_file_is_drawn(diamond: str) -> None:
    text = stepbus("template", "graph", diamond)
    flowchart = stepbus("template", "graph", diamond, "--format", "mermaid")
    document = stepbus("template", "graph", diamond, "--json")

    assert "● validate ─┤            ├─▶ ● ship" in text.stdout
    assert flowchart.stdout.startswith("flowchart TD\n")
    assert orjson.loads(document.stdout)["levels"] == [["validate"], ["stock", "pay"], ["ship"]]


def test_what_can_only_be_a_file_is_not_taken_for_a_name(tmp_path: Path) -> None:
    for missing in ("order.yaml", str(tmp_path / "order")):
        result = stepbus("template", "graph", missing)

        assert result.exit_code == 2
        assert "can't read" in result.stderr


def test_a_simulation_writes_the_events_in_log_order(diamond: str, tmp_path: Path) -> None:
    script = '{"steps": {"validate": {"fail": 1}, "pay": {"timeout": 1}}}'
    out = tmp_path / "events"

    result = stepbus("simulate", diamond, "--script", script, "--events", str(out), "--json")

    assert result.exit_code == 0
    assert orjson.loads(result.stdout)["status"] == "complete"
    assert out.read_bytes().splitlines() == [
        b'["StepDispatched","validate",1]',
        b'["StepFailed","validate",1]',
        b'["StepDispatched","validate",2]',
        b'["StepCompleted","validate",2]',
        b'["StepDispatched","stock",1]',
        b'["StepDispatched","pay",1]',
        b'["StepCompleted","stock",1]',
        b'["StepTimedOut","pay",1]',
        b'["StepDispatched","pay",2]',
        b'["StepCompleted","pay",2]',
        b'["StepDispatched","ship",1]',
        b'["StepCompleted","ship",1]',
        b'["TaskCompleted","",0]',
    ]


def test_a_simulation_of_a_task_that_fails_has_run_to_its_end(diamond: str) -> None:
    result = stepbus("simulate", diamond, "--script", '{"steps": {"pay": {"permanent": true}}}')

    assert result.exit_code == 0
    assert "error" in result.stdout.splitlines()[0]


def test_one_seed_gives_the_same_bytes_and_another_does_not(diamond: str) -> None:
    def events(seed: int) -> str:
        script = f'{{"seed": {seed}, "shuffle": true, "duplicates": 0.5}}'
        return stepbus("simulate", diamond, "--script", script, "--events", "-").stdout

    assert events(3) == events(3)
    assert len({events(seed) for seed in range(10)}) > 1


def test_a_script_can_come_from_a_file(diamond: str, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('{"steps": {"pay": {"permanent": true}}}')

    assert '["TaskFailed","",0]' in stepbus("simulate", diamond, "--script", f"@{script}", "--events", "-").stdout


@pytest.mark.parametrize(
    ("script", "code"),
    [('{"steps": {"nobody": {}}}', "script.unknown_step"), ('{"step": {}}', "script.unknown_key")],
)
def test_a_bad_script_is_refused(script: str, code: str, diamond: str) -> None:
    result = stepbus("simulate", diamond, "--script", script, "--json")

    assert result.exit_code == 1
    assert orjson.loads(result.stdout)["error"]["code"] == code


def test_events_and_the_summary_do_not_go_to_one_stream(diamond: str) -> None:
    assert stepbus("simulate", diamond, "--events", "-", "--json").exit_code == 2


def test_the_settings_are_shown_with_their_sources(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("api_port = 9000\n")
    environ = {"STEPBUS_API_KEY": "hush-hush"}

    result = stepbus("config", "--config", str(file), "--set", "partitions=3", "--json", env=environ)

    shown = orjson.loads(result.stdout)
    assert (shown["api_port"]["value"], shown["api_port"]["source"]) == (9000, str(file))
    assert (shown["partitions"]["value"], shown["partitions"]["source"]) == (3, "command line")
    assert shown["api_key"]["source"] == "STEPBUS_API_KEY"
    assert "hush-hush" not in result.stdout
    assert "api_port" in stepbus("config").stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("--set", "api_prot=1"), 1), (("--set", "api_port"), 2), (("--config", "nowhere.toml"), 1)],
)
def test_settings_that_are_none_are_refused(arguments: tuple[str, ...], code: int) -> None:
    assert stepbus("config", *arguments).exit_code == code


def test_the_version_is_shown() -> None:
    assert stepbus("version").stdout.startswith("stepbus ")
    assert orjson.loads(stepbus("version", "--json").stdout)["stepbus"]


@pytest.mark.parametrize(
    "arguments",
    [("frobnicate",), ("template", "frobnicate"), ("version", "--frobnicate"), ("submit",), ("task", "show", "no-id")],
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    result = stepbus(*arguments)

    assert result.exit_code == 2
    assert "Usage: " in result.stderr


def test_what_cannot_be_reached_ends_with_1_and_says_so() -> None:
    for verb in (("task", "list"), ("template", "list"), ("quarantine", "list"), ("submit", "order")):
        result = stepbus(*verb, "--url", "http://127.0.0.1:1", "--json")

        assert result.exit_code == 1
        assert orjson.loads(result.stdout)["error"]["code"] == "api.unreachable"


def test_help_loads_nothing_that_a_verb_needs() -> None:
    imported = "import sys; from stepbus.orchestrator.cli import app; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", imported], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {module.partition(".")[0] for module in modules}.intersection(HEAVY)


def test_a_template_is_checked_without_an_http_client() -> None:
    imported = "import sys; import stepbus.orchestrator.cli.template.check; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", imported], capture_output=True, text=True, check=True
    ).stdout.split()

    assert "httpx" not in modules
