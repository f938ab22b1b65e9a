"""The quarantine and the ignored answers through the API, over real HTTP on loopback."""

from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from stepbus.contracts import codec
from stepbus.contracts.template import from_mapping
from tests.support.api import Stage, staged
from tests.support.world import cloud_event, delivery


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as found:
        yield found


async def quarantined(stage: Stage, template: str = "later", message_id: str = "m-1") -> UUID:
    """Let a client have asked for a task of a template that nobody registered, and give the message's id."""
    body = cloud_event("task.requested", {"template": template}, message_id)
    outcome = await stage.parts.intake.apply(delivery("tasks", body))
    return outcome.id


async def test_a_message_that_could_not_be_applied_is_listed_and_shown_whole(stage: Stage) -> None:
    message = await quarantined(stage)

    listed = await stage.get("/v1/quarantine")
    shown = await stage.get(f"/v1/quarantine/{message}")

    assert [found["message_id"] for found in listed["messages"]] == [str(message)]
    assert (shown["state"], shown["channel"], shown["code"]) == ("quarantined", "tasks", "template.unknown")
    assert codec.decode(b64decode(shown["body"]))["data"] == {"template": "later"}
    assert shown["problems"][0]["pointer"] == shown["pointer"] == "/data/template"


async def test_a_message_goes_through_once_its_cause_is_mended(stage: Stage) -> None:
    message = await quarantined(stage)
    early = await stage.client.post(f"/v1/quarantine/{message}/resubmit")
    assert (early.status_code, early.json()["code"]) == (409, "template.unknown")
    await stage.register(from_mapping({"name": "later", "version": "1.0.0", "steps": [{"name": "only"}]}))

    answer = await stage.client.post(f"/v1/quarantine/{message}/resubmit")

    assert answer.status_code == 200
    task = await stage.get(f"/v1/tasks/{answer.json()['applied_to']}")
    assert task["name"] == "later"
    shown = await stage.get(f"/v1/quarantine/{message}")
    assert (shown["state"], shown["resubmitted_by"], shown["resubmissions"]) == ("resubmitted", "operator/http", 1)


async def test_messages_are_listed_by_state_code_and_channel_and_page_by_page(stage: Stage) -> None:
    messages = [str(await quarantined(stage, f"later{number}", f"m-{number}")) for number in range(3)]

    async def ids(**query: Any) -> list[str]:
        return [found["message_id"] for found in (await stage.get("/v1/quarantine", **query))["messages"]]

    assert await ids(state="quarantined", code="template.unknown", channel="tasks") == messages[::-1]
    assert await ids(state="resubmitted") == []
    assert await ids(code="json.malformed") == []
    assert await ids(channel="results.0") == []
    first = await stage.get("/v1/quarantine", limit=2)
    rest = await stage.get("/v1/quarantine", limit=2, cursor=first["next_cursor"])
    assert [found["message_id"] for found in (*first["messages"], *rest["messages"])] == messages[::-1]


async def test_a_message_that_is_not_in_quarantine_is_not_found(stage: Stage) -> None:
    shown = await stage.client.get(f"/v1/quarantine/{uuid4()}")
    resubmitted = await stage.client.post(f"/v1/quarantine/{uuid4()}/resubmit")

    assert (shown.status_code, shown.json()["code"]) == (404, "quarantine.unknown")
    assert (resubmitted.status_code, resubmitted.json()["code"]) == (404, "quarantine.unknown")


async def test_an_answer_that_changed_nothing_is_listed_with_its_reason(stage: Stage) -> None:
    task, other = await stage.task(), await stage.task()
    await stage.complete(task, "begin")
    token = stage.parts.intake.origin.token(task, "begin", 1)
    late = {"task_id": str(task), "step": "begin", "attempt": 1, "token": token, "worker": "w-9", "result": 2}
    await stage.parts.intake.apply(delivery("results.0", cloud_event("step.completed", late)))

    everything = await stage.get("/v1/ignored")
    mine = await stage.get("/v1/ignored", task_id=str(task), code=everything["answers"][0]["code"])

    (ignored,) = mine["answers"]
    assert everything["answers"] == mine["answers"]
    assert (ignored["step"], ignored["attempt"], ignored["worker"]) == ("begin", 1, "w-9")
    assert (ignored["answer_type"], ignored["task_id"]) == ("step.completed", str(task))
    assert (await stage.get("/v1/ignored", task_id=str(other)))["answers"] == []
