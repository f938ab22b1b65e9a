"""The verbs about what is stored: replay, rebuild, verify; and the quarantine."""

import asyncio
from base64 import b64decode
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import nats
import orjson
import pytest

from stepbus.contracts.events import TASK, Metadata, Record, StepDispatched, encode_record
from stepbus.orchestrator.bootstrap import opened_store
from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.cli.remote import Api
from stepbus.orchestrator.ports import Append
from tests.support.command_line import CommandLine, step

NOBODY = "0199d2a1-0000-7000-8000-000000000000"


@pytest.fixture
def task(command_line: CommandLine, tmp_path: Path, unique_name: str) -> str:
    """A task that has ended."""
    command_line.register(tmp_path, unique_name, [step("a"), step("b", "a", handler="refuse"), step("c", "a")])
    return str(command_line.json("submit", unique_name, "--wait", code=1)["task_id"])


async def sent(nats_url: str, prefix: str, body: bytes) -> None:
    """Send a body to the tasks channel, as a client without stepbus would."""
    connection = await nats.connect(nats_url)
    try:
        await connection.jetstream().publish(f"{prefix}.tasks", body)
    finally:
        await connection.close()


def request(template: str) -> bytes:
    data = {"template": template, "context": {"order": 7}}
    return orjson.dumps(
        {"specversion": "1.0", "id": template, "source": "/test", "type": "task.requested", "data": data}
    )


def quarantined(command_line: CommandLine, body: bytes) -> dict[str, Any]:
    """Give the message of this body, once it is in quarantine."""
    deadline = monotonic() + 30
    while True:
        for message in command_line.json("quarantine", "list", "--limit", "1000")["messages"]:
            shown: dict[str, Any] = command_line.json("quarantine", "show", message["message_id"])
            if b64decode(shown["body"]) == body:
                return shown
        assert monotonic() < deadline, "expected the message to be quarantined"


def test_a_replay_gives_the_state_that_the_coordinator_has(command_line: CommandLine, task: str) -> None:
    (replayed,) = command_line.json("replay", task)["tasks"]

    assert (replayed["task_id"], replayed["status"], replayed["live"]) == (task, "error", "match")
    assert replayed["events"] == len(command_line.json("task", "history", task)["events"])
    assert replayed["digest"] == command_line.json("task", "show", task)["state"]["digest"]


def test_all_tasks_are_replayed(command_line: CommandLine, task: str) -> None:
    replayed = command_line.json("replay", "--all")["tasks"]

    assert task in {one["task_id"] for one in replayed}
    assert {one["live"] for one in replayed} == {"match"}
    assert "match" in command_line.text("replay", "--all")


def test_a_replay_without_an_api_compares_nothing(command_line: CommandLine, task: str) -> None:
    (replayed,) = command_line.json("replay", task, "--url", "http://127.0.0.1:1")["tasks"]

    assert (replayed["status"], replayed["live"]) == ("error", "not compared")


def test_a_replay_that_differs_ends_with_1(
    command_line: CommandLine, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = command_line.json("task", "show", task)
    found["state"]["digest"] = "0" * 64
    monkeypatch.setattr(Api, "get", lambda *_path, **_parameters: found)

    (replayed,) = command_line.json("replay", task, code=1)["tasks"]

    assert replayed["live"] == "differs"


def test_what_is_to_be_replayed_must_be_said(command_line: CommandLine, task: str) -> None:
    command_line.run("replay", code=2)
    command_line.run("replay", task, "--all", code=2)
    assert command_line.json("replay", NOBODY, code=1)["error"]["code"] == "task.unknown"


def test_rebuilt_views_are_the_same_as_before(command_line: CommandLine, task: str) -> None:
    views = command_line.json("rebuild")["views"]

    assert {"tasks", "steps", "history", "templates", "quarantine"} <= {view["name"] for view in views}
    assert all(view["same"] for view in views)
    assert command_line.json("task", "show", task)["status"] == "error"
    assert "same as before" in command_line.text("rebuild")


def test_the_invariants_of_every_task_hold(command_line: CommandLine, task: str) -> None:
    report = command_line.json("verify")

    assert report["violations"] == []
    assert report["tasks"] >= 1
    assert report["events"] >= len(command_line.json("task", "history", task)["events"])
    assert command_line.text("verify").endswith("every invariant holds\n")


async def broken_log(folder: Path) -> None:
    """Write a log that no coordinator would: a step is dispatched in a task that nobody accepted."""
    dispatched = StepDispatched(step="a", attempt=1, deadline_at_ms=1)
    record = encode_record(Record(first=1, meta=Metadata(at_ms=0), events=(dispatched,)))
    async with opened_store(Settings(data=folder)) as store:
        await store.append([Append(UUID(NOBODY), 0, TASK, record)])


def test_a_violation_is_named_with_its_place(tmp_path: Path) -> None:
    asyncio.run(broken_log(tmp_path))
    alone = CommandLine("http://127.0.0.1:1", tmp_path)

    report = alone.json("verify", code=1)
    text = alone.text("verify", code=1)

    assert report["found"] == len(report["violations"]) > 0
    assert {(one["stream"], one["position"]) for one in report["violations"]} == {(NOBODY, 1)}
    assert "one_acceptance" in text
    assert f"{report['found']} violations" in text


def test_a_store_that_is_not_there_is_said_to_be_none(tmp_path: Path) -> None:
    alone = CommandLine("http://127.0.0.1:1", tmp_path / "nowhere")

    for verb in (("verify",), ("rebuild",), ("replay", "--all")):
        assert alone.json(*verb, code=1)["error"]["code"] == "store.unavailable"


async def test_a_message_that_is_none_is_kept_whole(
    command_line: CommandLine, nats_url: str, dev_prefix: str, unique_name: str
) -> None:
    body = f"{unique_name}: no CloudEvent".encode()
    await sent(nats_url, dev_prefix, body)

    message = quarantined(command_line, body)
    text = command_line.text("quarantine", "show", message["message_id"])

    assert message["problems"]
    assert f"error[{message['code']}]" in text
    assert text.endswith(f"{body.decode()}\n")
    assert message["message_id"] in command_line.text(
        "quarantine", "list", "--code", message["code"], "--limit", "1000"
    )
    assert command_line.json("quarantine", "resubmit", message["message_id"], code=1)["error"]["code"]


async def test_a_message_goes_through_once_what_was_wrong_is_mended(
    command_line: CommandLine, nats_url: str, dev_prefix: str, tmp_path: Path, unique_name: str
) -> None:
    body = request(unique_name)
    await sent(nats_url, dev_prefix, body)
    message = quarantined(command_line, body)
    assert message["code"] == "template.unknown"

    command_line.register(tmp_path, unique_name, [step("a")])
    done = command_line.json("quarantine", "resubmit", message["message_id"])

    command_line.run("task", "watch", done["applied_to"])
    assert command_line.json("task", "show", done["applied_to"])["context"] == {"order": 7}
    shown = command_line.json("quarantine", "show", message["message_id"])
    assert (shown["state"], shown["resubmissions"]) == ("resubmitted", 1)
    listed = command_line.json("quarantine", "list", "--state", "resubmitted", "--limit", "1000")["messages"]
    assert message["message_id"] in {one["message_id"] for one in listed}


def test_a_message_that_is_not_there_is_said_to_be_none(command_line: CommandLine) -> None:
    for verb in ("show", "resubmit"):
        assert command_line.json("quarantine", verb, NOBODY, code=1)["error"]["code"] == "quarantine.unknown"
    command_line.run("quarantine", "show", "no-id", code=2)
