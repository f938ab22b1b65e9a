"""The verbs about templates and tasks, against a stepbus that runs."""

from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
import pytest

from tests.support.command_line import CommandLine, step

NOBODY = "0199d2a1-0000-7000-8000-000000000000"


@pytest.fixture
def registered(command_line: CommandLine, tmp_path: Path, unique_name: str) -> str:
    """A template of a diamond that succeeds."""
    steps = [step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c")]
    return command_line.register(tmp_path, unique_name, steps)


@pytest.fixture
def failing(command_line: CommandLine, tmp_path: Path, unique_name: str) -> str:
    """A template whose second step fails for good."""
    return command_line.register(tmp_path, unique_name, [step("a"), step("b", "a", handler="refuse"), step("c", "b")])


def failed_task(command_line: CommandLine, name: str) -> str:
    return str(command_line.json("submit", name, "--wait", code=1)["task_id"])


def states(command_line: CommandLine, task: str) -> dict[str, str]:
    return {one["step"]: one["state"] for one in command_line.json("task", "steps", task)["steps"]}


def events(command_line: CommandLine, task: str) -> list[str]:
    return [one["type"] for one in command_line.json("task", "history", task)["events"]]


def test_a_registered_template_is_listed_shown_and_drawn(command_line: CommandLine, registered: str) -> None:
    listed = command_line.json("template", "list", "--namespace", "default", "--limit", "1000")
    shown = command_line.json("template", "show", registered)

    assert registered in {template["name"] for template in listed["templates"]}
    assert [one["name"] for one in shown["template"]["steps"]] == ["a", "b", "c", "d"]
    assert f"default/{registered}" in command_line.text("template", "list", "--limit", "1000")
    assert f"template    default/{registered} 1.0.0" in command_line.text("template", "show", registered)
    assert "● a ─┤        ├─▶ ● d" in command_line.text("template", "graph", registered)


def test_registering_the_same_again_changes_nothing(command_line: CommandLine, registered: str, tmp_path: Path) -> None:
    file = str(tmp_path / f"{registered}.json")

    assert command_line.json("template", "register", file)["repeated"] is True
    assert command_line.text("template", "register", file) == f"default/{registered} 1.0.0 was registered before\n"


def test_other_content_under_the_same_version_is_refused(
    command_line: CommandLine, registered: str, tmp_path: Path
) -> None:
    file = tmp_path / "other.json"
    file.write_bytes(orjson.dumps({"name": registered, "version": "1.0.0", "steps": [step("other")]}))

    assert command_line.json("template", "register", str(file), code=1)["error"]["errors"]


def test_the_highest_version_is_shown_unless_another_is_asked_for(
    command_line: CommandLine, tmp_path: Path, unique_name: str
) -> None:
    for version in ("1.9.0", "1.10.0"):
        command_line.register(tmp_path, unique_name, [step("a")], version=version)

    assert command_line.json("template", "show", unique_name)["version"] == "1.10.0"
    assert command_line.json("template", "show", unique_name, "--version", "1.9.0")["version"] == "1.9.0"


def test_a_bad_template_is_refused_by_the_server_with_lines(command_line: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("name: bad\nversion: 1.0.0\nsteps:\n  - name: a\n    depends_on: [nobody]\n")

    result = command_line.run("template", "register", str(file), code=1)

    assert "error[template.unknown_dependency] at /steps/0/depends_on/0 (line 5): " in result.stderr
    assert "     5 |     depends_on: [nobody]\n             ^^^" in result.stderr


def test_a_template_that_is_not_there_is_said_to_be_none(command_line: CommandLine) -> None:
    for verb in (("template", "show"), ("template", "graph"), ("submit",)):
        assert command_line.json(*verb, "nobody-registered-this", code=1)["error"]["code"] == "template.unknown"


def test_a_task_is_waited_for_until_it_is_complete(command_line: CommandLine, registered: str) -> None:
    task = command_line.json("submit", registered, "--wait", "--context", '{"order": 1}')

    assert (task["status"], task["context"]) == ("complete", {"order": 1})
    assert command_line.text("submit", registered, "--wait").split()[1] == "complete"


def test_a_task_that_fails_ends_the_wait_with_1(command_line: CommandLine, failing: str) -> None:
    assert command_line.json("submit", failing, "--wait", code=1)["status"] == "error"


def test_a_wait_can_be_given_up_and_the_task_goes_on(
    command_line: CommandLine, tmp_path: Path, unique_name: str
) -> None:
    gate = tmp_path / "gate"
    command_line.register(tmp_path, unique_name, [step("a", handler="wait")])
    context = orjson.dumps({"gate": str(gate)}).decode()

    refused = command_line.json("submit", unique_name, "--context", context, "--wait", "--timeout", "50ms", code=1)

    assert refused["error"]["code"] == "wait.timeout"
    (task,) = command_line.json("task", "list", "--name", unique_name)["tasks"]
    gate.touch()
    command_line.run("task", "watch", task["task_id"])


def test_one_key_is_one_task(command_line: CommandLine, registered: str) -> None:
    first = command_line.json("submit", registered, "--key", "order-1")
    second = command_line.json("submit", registered, "--key", "order-1")

    assert (first["repeated"], second["repeated"]) == (False, True)
    assert first["task_id"] == second["task_id"]
    assert command_line.text("submit", registered, "--key", "order-1").endswith(" (it was there before)\n")


def test_the_context_can_come_from_a_file_or_a_pipe(command_line: CommandLine, registered: str, tmp_path: Path) -> None:
    file = tmp_path / "context.json"
    file.write_text('{"from": "a file"}')

    for arguments, given in (
        (("--context", f"@{file}"), None),
        (("--context-file", str(file)), None),
        (("--context-file", "-"), '{"from": "a file"}'),
    ):
        task = command_line.run("submit", registered, *arguments, given=given).stdout.strip()
        assert command_line.json("task", "show", task)["context"] == {"from": "a file"}


@pytest.mark.parametrize(
    "arguments", [("--context", "{"), ("--context-file", "nowhere"), ("--deadline", "5"), ("--timeout", "soon")]
)
def test_options_that_cannot_be_read_are_wrong_usage(command_line: CommandLine, arguments: Sequence[str]) -> None:
    command_line.run("submit", "any", *arguments, code=2)


def test_a_context_that_is_no_object_is_refused(command_line: CommandLine, registered: str) -> None:
    result = command_line.run("submit", registered, "--context", "[1]", code=1)

    assert " at /context: " in result.stderr


def test_a_skippable_step_can_be_left_out(command_line: CommandLine, tmp_path: Path, unique_name: str) -> None:
    command_line.register(tmp_path, unique_name, [step("a", handler="refuse", skippable=True), step("b", "a")])

    task = command_line.json("submit", unique_name, "--bypass", "a", "--wait")

    assert states(command_line, task["task_id"]) == {"a": "bypassed", "b": "complete"}


def test_a_deadline_ends_a_task(command_line: CommandLine, tmp_path: Path, unique_name: str) -> None:
    command_line.register(tmp_path, unique_name, [step("a", handler="stumble")])

    task = command_line.json("submit", unique_name, "--deadline", "200ms", "--wait", code=1)

    assert task["status"] == "error"
    assert 0 < task["deadline_at_ms"] - task["accepted_at_ms"] <= 200


def test_tasks_are_listed_by_status_and_name(command_line: CommandLine, failing: str) -> None:
    task = failed_task(command_line, failing)

    def ids(*arguments: str) -> list[str]:
        return [found["task_id"] for found in command_line.json("task", "list", "--name", failing, *arguments)["tasks"]]

    assert ids() == ids("--status", "error", "--status", "cancelled") == ids("--namespace", "default") == [task]
    assert ids("--status", "complete") == ids("--namespace", "elsewhere") == []
    assert task in command_line.text("task", "list", "--name", failing)
    assert command_line.text("task", "list", "--name", failing, "--status", "complete") == "none\n"


def test_a_task_is_shown_with_its_execution_context(command_line: CommandLine, failing: str) -> None:
    task = failed_task(command_line, failing)

    shown = command_line.text("task", "show", task)

    for line in (
        "status       error",
        "progress     33.33 % of 3 steps",
        "steps        1 completed, 1 failed, 1 pending",
        "execution    blocked_by_failures",
        "recommended  handle_failures",
        "failed       b",
    ):
        assert line in shown.splitlines()


def test_the_history_is_shown_in_order(command_line: CommandLine, failing: str) -> None:
    task = failed_task(command_line, failing)

    told = [line.split()[1] for line in command_line.text("task", "history", task).splitlines()]

    assert told == events(command_line, task)
    assert told[0] == "TaskAccepted"
    assert told[-2:] == ["StepFailed", "TaskFailed"]


def test_why_says_who_must_act_and_how(command_line: CommandLine, failing: str) -> None:
    task = failed_task(command_line, failing)

    why = command_line.json("task", "why", task)
    text = command_line.text("task", "why", task)

    assert [(one["step"], one["who"]) for one in why["steps"]] == [
        ("b", "an operator"),
        ("c", "the steps that it waits for"),
    ]
    assert f"  how  stepbus task retry {task} b" in text.splitlines()
    assert "○ c  waits for b" in text.splitlines()
    assert f"the task  stepbus task resolve {task}" in text.splitlines()


def test_the_commands_that_why_names_work(command_line: CommandLine, failing: str) -> None:
    task = failed_task(command_line, failing)
    (blocked, _) = command_line.json("task", "why", task)["steps"]

    for command in blocked["commands"]:
        command_line.run(*command.split()[1:])
        command_line.run("task", "watch", task, code=1 if " retry " in command else 0)

    assert command_line.json("task", "why", task)["steps"] == []
    assert "nothing is left to do" in command_line.text("task", "why", task)


def test_a_step_that_waits_for_its_retry_says_when(command_line: CommandLine, tmp_path: Path, unique_name: str) -> None:
    command_line.register(tmp_path, unique_name, [step("a", handler="stumble")])
    task = command_line.submit(unique_name)
    follow_until(command_line, task, "StepFailed")

    (waiting,) = command_line.json("task", "why", task)["steps"]

    assert waiting["state"] == "waiting_for_retry"
    assert waiting["who"] == "nobody: its retry comes by itself"
    assert waiting["next_at_ms"] is not None
    command_line.run("task", "retry", task, "a", "--reason", "the bank is back")
    follow_until(command_line, task, "StepFailed", count=2)
    command_line.run("task", "cancel", task)


def follow_until(command_line: CommandLine, task: str, kind: str, count: int = 1) -> None:
    """Return as soon as the events of the task hold so many of a kind."""
    deadline = monotonic() + 30
    while events(command_line, task).count(kind) < count:
        assert monotonic() < deadline


def test_a_failed_step_is_tried_again_on_request(command_line: CommandLine, failing: str) -> None:
    task = failed_task(command_line, failing)

    command_line.run("task", "retry", task, "b", "--reason", "try harder")

    command_line.run("task", "watch", task, code=1)
    history = command_line.json("task", "history", task)["events"]
    assert [one["attempt"] for one in history if one["type"] == "StepDispatched" and one["step"] == "b"] == [1, 2]
    assert "try harder" in {one["data"].get("reason") for one in history}


def test_a_step_that_is_resolved_lets_the_task_go_on(command_line: CommandLine, failing: str) -> None:
    task = failed_task(command_line, failing)

    command_line.run("task", "resolve", task, "b", "--result", '{"paid": "cash"}', "--reason", "paid at the door")

    command_line.run("task", "watch", task)
    assert states(command_line, task) == {"a": "complete", "b": "resolved_manually", "c": "complete"}


def test_a_whole_task_is_resolved_where_no_step_is_named(command_line: CommandLine, failing: str) -> None:
    task = failed_task(command_line, failing)

    assert command_line.text("task", "resolve", task, "--reason", "done by hand").split() == [task, "resolved_manually"]
    assert "declared it done" in command_line.text("task", "why", task)
    command_line.run("task", "resolve", task, "--result", "1", code=2)


def test_a_cancelled_task_moves_no_more(command_line: CommandLine, tmp_path: Path, unique_name: str) -> None:
    command_line.register(tmp_path, unique_name, [step("a", handler="wait"), step("b", "a")])
    task = command_line.submit(unique_name, context={"gate": str(tmp_path / "gate")})

    assert command_line.text("task", "cancel", task, "--reason", "enough").split() == [task, "cancelled"]
    (tmp_path / "gate").touch()
    command_line.run("task", "watch", task, code=1)
    assert states(command_line, task) == {"a": "cancelled", "b": "cancelled"}
    assert command_line.text("task", "cancel", task).endswith(" cancelled (nothing changed)\n")
    assert command_line.json("task", "retry", task, "a", code=1)["error"]["code"] == "task.ended"


@pytest.mark.parametrize("verb", [("show",), ("steps",), ("history",), ("why",), ("watch",), ("cancel",), ("resolve",)])
def test_a_task_that_is_not_there_is_said_to_be_none(command_line: CommandLine, verb: Sequence[str]) -> None:
    assert command_line.json("task", *verb, NOBODY, code=1)["error"]["code"] == "task.unknown"


def test_a_watched_task_is_told_event_by_event(command_line: CommandLine, registered: str) -> None:
    task = command_line.submit(registered)

    lines = command_line.run("task", "watch", task, "--json").stdout.splitlines()
    told = command_line.text("task", "watch", task).splitlines()

    documents: list[dict[str, Any]] = [orjson.loads(line) for line in lines]
    assert [one["type"] for one in documents] == [line.split()[1] for line in told] == events(command_line, task)
    assert documents[-1]["type"] == "TaskCompleted"
