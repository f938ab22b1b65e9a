"""Messages that somebody writes by hand with the broker's own client: what is wrong with each is found and kept."""

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.deployment import Deployment, cloud_event, deployed, settings_of
from tests.support.plain_clients import SENDERS

TASK = "0199d2a1-0000-7000-8000-000000000000"
GOOD = {"template": "example", "namespace": "test"}
ANSWER = {"task_id": TASK, "step": "step", "attempt": 1, "token": "t"}


def changed(**attributes: Any) -> bytes:
    """A good request, but for these attributes; one that is None is left out."""
    event = orjson.loads(cloud_event("task.requested", GOOD, "by-hand")) | attributes
    return orjson.dumps({name: value for name, value in event.items() if value is not None})


REQUESTS: Mapping[str, tuple[bytes, str, str]] = {
    "no JSON": (b"hello?", "json.malformed", ""),
    "nothing": (b"", "json.malformed", ""),
    "half of it": (changed()[:-9], "json.malformed", "/data/namespace"),
    "no text": (b"\x00\xff\xfe\x80", "json.encoding", ""),
    "a list": (b"[1, 2]", "envelope.not_an_object", ""),
    "of no type": (changed(type=None), "envelope.missing", "/type"),
    "of a wrong type": (changed(type="task.wished"), "message.unknown_type", "/type"),
    "of the wrong channel": (changed(type="step.completed", data=ANSWER), "message.wrong_channel", "/type"),
    "no data": (changed(data=None), "message.invalid", "/data"),
    "data of a wrong kind": (changed(data="example"), "message.invalid", "/data"),
    "a key that is none": (changed(data={**GOOD, "template_": 1}), "message.unknown_key", "/data/template_"),
    "of the future": (changed(specversion="2.0"), "envelope.invalid", "/specversion"),
    "a task that is none": (changed(type="task.cancel_requested", data={"task_id": TASK}), "task.unknown", "/data"),
}


@pytest.fixture(params=list(SENDERS))
async def by_hand(
    request: pytest.FixtureRequest, tmp_path: Path, unique_name: str
) -> AsyncIterator[tuple[Deployment, Callable[..., Any]]]:
    """A deployment on each broker, and what sends to one of its channels as an operator would."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    async with deployed(settings_of(tmp_path, url, unique_name)) as deployment:
        await deployment.process.serving.bus.provision(["test.step"])
        await deployment.register({"name": "step"})

        async def send(channel: str, body: bytes, **headers: str) -> None:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            await SENDERS[request.param](url, deployment.bus.address(channel), body, named)

        yield deployment, send


def found(kept: list[dict[str, Any]]) -> dict[bytes, tuple[str, str]]:
    return {base64.b64decode(message["body"]): (message["code"], message["pointer"]) for message in kept}


async def test_whatever_is_wrong_with_a_request_is_found_and_kept(
    by_hand: tuple[Deployment, Callable[..., Any]],
) -> None:
    deployment, send = by_hand
    for body, _, _ in REQUESTS.values():
        await send("tasks", body)

    kept = found(await deployment.quarantined(len(REQUESTS)))

    assert {name: kept[body] for name, (body, _, _) in REQUESTS.items()} == {
        name: (code, pointer) for name, (_, code, pointer) in REQUESTS.items()
    }
    await deployment.demand_life()


async def test_an_answer_with_a_wrong_token_is_kept_and_a_right_one_by_hand_counts(
    by_hand: tuple[Deployment, Callable[..., Any]],
) -> None:
    deployment, send = by_hand
    task_id = await deployment.submit()
    job = await deployment.job("step")
    _, forged = deployment.answer_to({**job, "token": "0" * 32}, result="forged")
    _, nameless = deployment.answer_to({**job, "step": "no step"}, result="forged")
    number = next(n for n in range(2) if deployment.bus.address(f"results.{n}") == job["replyto"])
    for body in (b"done", forged, nameless):
        await send(f"results.{number}", body)

    assert sorted(found(await deployment.quarantined(3)).values()) == [
        ("json.malformed", ""),
        ("message.invalid", "/data/step"),
        ("result.token", "/data/token"),
    ]
    assert (await deployment.task(task_id))["status"] == "in_progress"
    await send(f"results.{number}", deployment.answer_to(job, result="by hand")[1])
    assert (await deployment.ended(task_id))["status"] == "complete"
    assert await deployment.result(task_id, "step") == "by hand"


async def test_a_request_in_binary_mode_is_taken_from_headers_and_one_that_is_half_so_is_kept(
    by_hand: tuple[Deployment, Callable[..., Any]],
) -> None:
    deployment, send = by_hand
    good = {"ce_specversion": "1.0", "ce_id": "by-hand", "ce_source": "/test", "ce_type": "task.requested"}
    body = orjson.dumps({**GOOD, "task_id": TASK})
    await send("tasks", body, **{**good, "ce_type": "task.wished"}, content_type="application/json")
    await send("tasks", body, **good, content_type="application/json")

    [kept] = await deployment.quarantined(1)

    assert (kept["code"], kept["pointer"]) == ("message.unknown_type", "/type")
    await deployment.answer(await deployment.job("step"))
    assert (await deployment.ended(TASK))["status"] == "complete"
