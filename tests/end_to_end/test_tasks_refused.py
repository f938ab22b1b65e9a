"""Messages that can't be applied: each goes into quarantine whole, with its code and place, and nothing else stops."""

import base64
import json
from typing import Any
from uuid import uuid4

import orjson

from stepbus.contracts import codec
from stepbus.orchestrator.ports import Delivery
from tests.support.deployment import Deployment, cloud_event

UNKNOWN_TASK = "0192b7c4-0000-7000-8000-00000000dead"


def requested(data: str = '{"template": "example", "namespace": "test"}', **attributes: Any) -> bytes:
    """A request whose data is this text, as it stands."""
    event = {"specversion": "1.0", "id": str(uuid4()), "source": "/test", "type": "task.requested", **attributes}
    return (json.dumps(event)[:-1] + f', "data": {data}}}').encode()


def context(value: str) -> bytes:
    """A request whose context holds this text, as it stands."""
    return requested(f'{{"template": "example", "namespace": "test", "context": {{"a": {value}}}}}')


ON_TASKS = {
    "nothing": (b"", "json.malformed", ""),
    "truncated": (requested()[:-9], "json.malformed", "/data/namespace"),
    "NaN": (context("NaN"), "json.nan", "/data/context/a"),
    "Infinity": (context("-Infinity"), "json.nan", "/data/context/a"),
    "a number past every double": (context("1e400"), "json.number_range", "/data/context/a"),
    "an integer past 2^53": (context(str(2**53)), "json.integer_range", "/data/context/a"),
    "a key twice": (context('{"b": 1, "b": 2}'), "json.duplicate_key", "/data/context/a/b"),
    "a NUL": (context(r'"\u0000"'), "json.nul", "/data/context/a"),
    "half a surrogate": (context(r'"\ud800"'), "json.surrogate", "/data/context/a"),
    "a BOM": (b"\xef\xbb\xbf" + requested(), "json.malformed", ""),
    "bad UTF-8": (requested().replace(b"example", b"ex\xffmple"), "json.encoding", ""),
    "too deep": (context("[" * 70 + "]" * 70), "json.depth", "/data/context/a" + "/0" * (codec.MAX_DEPTH - 3)),
    "far too deep": (b"[" * 100_000, "json.depth", "/0" * codec.MAX_DEPTH),
    "too large": (context(f'"{"x" * codec.MAX_MESSAGE_BYTES}"'), "json.too_large", ""),
    "a list": (b"[]", "envelope.not_an_object", ""),
    "no envelope": (b'{"template": "example"}', "envelope.missing", "/id"),
    "another specversion": (requested(specversion="0.3"), "envelope.invalid", "/specversion"),
    "an unknown type": (cloud_event("task.wished", {}), "message.unknown_type", "/type"),
    "a newer version": (
        requested(dataschema="https://stepbus.dev/schemas/task.requested/99"),
        "message.unknown_version",
        "/dataschema",
    ),
    "a misspelt field": (requested('{"template": "example", "contxt": {}}'), "message.unknown_key", "/data/contxt"),
    "a field of another type": (requested('{"template": 7}'), "message.invalid", "/data/template"),
    "no data": (requested("null"), "message.invalid", "/data"),
    "an unknown template": (requested('{"template": "nobody"}'), "template.unknown", "/data/template"),
    "an unknown version of a template": (
        requested('{"template": "example", "namespace": "test", "version": "9.9.9"}'),
        "template.unknown_version",
        "/data/version",
    ),
    "a reply address of nobody": (
        requested('{"template": "example", "namespace": "test", "replyto": "$SYS.ACCOUNT"}'),
        "task.replyto",
        "/data/replyto",
    ),
    "a step left out that may not be": (
        requested('{"template": "example", "namespace": "test", "bypass_steps": ["step"]}'),
        "task.not_skippable",
        "/data/bypass_steps/0",
    ),
    "a cancellation of no task": (
        cloud_event("task.cancel_requested", {"task_id": UNKNOWN_TASK}),
        "task.unknown",
        "/data",
    ),
    "an answer among requests": (
        cloud_event("step.completed", {"task_id": UNKNOWN_TASK, "step": "step", "attempt": 1, "token": "t"}),
        "message.wrong_channel",
        "/type",
    ),
}


def found_in(quarantine: list[dict[str, Any]]) -> dict[bytes, tuple[str, str]]:
    return {base64.b64decode(kept["body"]): (kept["code"], kept["pointer"]) for kept in quarantine}


async def test_whatever_is_wrong_with_a_request_it_is_kept_whole_with_its_code_and_place(
    deployment: Deployment,
) -> None:
    await deployment.register({"name": "step"})
    for body, _, _ in ON_TASKS.values():
        await deployment.send("tasks", body)
    found = found_in(await deployment.quarantined(len(ON_TASKS)))
    names = {body: name for name, (body, _, _) in ON_TASKS.items()}

    assert {names[body]: what for body, what in found.items()} == {
        name: (code, pointer) for name, (_, code, pointer) in ON_TASKS.items()
    }
    await deployment.demand_life()


async def test_an_answer_that_no_job_asked_for_is_kept_and_changes_nothing(deployment: Deployment) -> None:
    await deployment.register({"name": "step"})
    task_id = await deployment.submit()
    job = await deployment.job("step")
    forged = {**job, "token": "0" * 32}
    answers: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
        (forged, {}, "result.token", "/data/token"),
        (forged, {"task_id": UNKNOWN_TASK}, "result.token", "/data/token"),
        (forged, {"attempt": 2}, "result.token", "/data/token"),
        (job, {"attempt": 0}, "message.invalid", "/data/attempt"),
        (job, {"step": "no step"}, "message.invalid", "/data/step"),
    ]
    for answered, change, _, _ in answers:
        await deployment.answer({**answered, **change}, result="forged")
    await deployment.answer(job, "step.guessed", result="forged")
    found = found_in(await deployment.quarantined(len(answers) + 1))

    assert sorted(found.values()) == sorted(
        [(code, pointer) for _, _, code, pointer in answers] + [("message.unknown_type", "/type")]
    )
    assert (await deployment.task(task_id))["status"] == "in_progress"
    await deployment.answer(job, result="real")
    await deployment.ended(task_id)
    assert await deployment.result(task_id, "step") == "real"


async def test_a_message_sent_again_is_kept_once(deployment: Deployment) -> None:
    for _ in range(3):
        await deployment.send("tasks", b"[]")
    await deployment.send("tasks", b"{}")

    assert sorted(found_in(await deployment.quarantined(2))) == [b"[]", b"{}"]


async def test_a_request_resubmitted_once_its_template_is_there_becomes_a_task(deployment: Deployment) -> None:
    await deployment.send("tasks", requested('{"template": "late", "namespace": "test"}'))
    (kept,) = await deployment.quarantined(1)
    refused = await deployment.http.post(f"/v1/quarantine/{kept['message_id']}/resubmit")
    await deployment.register({"name": "step"}, name="late")
    resubmitted = await deployment.act(f"quarantine/{kept['message_id']}/resubmit")

    await deployment.answer(await deployment.job("step"))
    assert (await deployment.ended(resubmitted["applied_to"]))["status"] == "complete"
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "template.unknown")
    again = (await deployment.get("quarantine", state="resubmitted"))["messages"]
    assert [message["message_id"] for message in again] == [kept["message_id"]]


async def test_what_is_in_quarantine_is_told_on_its_channel(deployment: Deployment) -> None:
    await deployment.send("tasks", b"[]")
    (kept,) = await deployment.quarantined(1)
    subscription = await deployment.bus.listen("quarantine", from_start=True)
    deliveries: list[Delivery] = []
    while not deliveries:
        deliveries = list(await subscription.receive(1, 20.0))
    await subscription.close()

    event = orjson.loads(deliveries[0].body)
    assert (event["type"], event["data"]["message_id"]) == ("message.quarantined", kept["message_id"])
    assert (event["data"]["code"], event["data"]["channel"]) == ("envelope.not_an_object", "tasks")
