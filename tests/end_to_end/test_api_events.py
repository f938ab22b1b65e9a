"""Following a task through the API: server-sent events over real HTTP on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest

from stepbus.contracts.events import CATALOGUE_STREAM
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.api import Stage, staged


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as found:
        yield found


class Follower:
    """What a client has heard so far."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.events: list[dict[str, Any]] = []
        self.comments: list[str] = []
        self.has_ended = False
        self.is_closed = False

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def last_id(self) -> str:
        return f"{self.events[-1]['position']}.{self.events[-1]['index']}"

    async def listen(self) -> None:
        fields: dict[str, str] = {}
        async for line in self.response.aiter_lines():
            name, _, value = line.partition(":")
            if line and not name:
                self.comments.append(value.strip())
            elif line:
                fields[name] = value.strip()
            elif "data" in fields:
                self._take(fields)
                fields = {}
        self.is_closed = True

    def _take(self, fields: dict[str, str]) -> None:
        if fields.get("event") == "end":
            self.has_ended = True
            return
        event = json.loads(fields["data"])
        assert fields["id"] == f"{event['position']}.{event['index']}"
        self.events.append(event)


@asynccontextmanager
async def following(stage: Stage, task: UUID, last_id: str | None = None, **query: str) -> AsyncIterator[Follower]:
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    path = f"/v1/tasks/{task}/events"
    async with stage.client.stream("GET", path, headers=headers, params=query) as response:
        assert response.status_code == 200, response.status_code
        assert response.headers["content-type"].startswith("text/event-stream")
        follower = Follower(response)
        listening = asyncio.create_task(follower.listen())
        try:
            yield follower
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def test_a_follower_hears_what_happened_and_what_happens(stage: Stage) -> None:
    task = await stage.task()
    async with following(stage, task) as follower:
        await wait_until(lambda: follower.types == ["TaskAccepted", "StepDispatched"])

        await stage.complete(task, "begin", result={"n": 1})
        await wait_until(lambda: len(follower.events) == 5)

        assert follower.types[2:] == ["StepCompleted", "StepDispatched", "StepDispatched"]
        assert follower.events[2]["data"]["result"] == {"n": 1}
        assert [event["sequence"] for event in follower.events] == [1, 2, 3, 4, 5]


async def test_a_follower_of_one_task_hears_nothing_of_another(stage: Stage) -> None:
    task, other = await stage.task(), await stage.task()
    async with following(stage, task) as follower, following(stage, other) as neighbour:
        await stage.complete(other, "begin")
        await stage.complete(task, "begin")
        await wait_until(lambda: len(follower.events) == len(neighbour.events) == 5)

        assert {event["position"] for event in follower.events}.isdisjoint(
            event["position"] for event in neighbour.events
        )


async def test_a_follower_that_comes_back_misses_nothing_and_hears_nothing_twice(stage: Stage) -> None:
    task = await stage.task()
    await stage.complete(task, "begin")
    async with following(stage, task) as first:
        await wait_until(lambda: len(first.events) == 5)
    await stage.complete(task, "left", "right", result={})

    within_a_record = f"{first.events[3]['position']}.{first.events[3]['index']}"
    async with following(stage, task, last_id=within_a_record) as second:
        await wait_until(lambda: len(second.events) == 4)
        assert [event["sequence"] for event in second.events] == [5, 6, 7, 8]
        await stage.complete(task, "end")
        await wait_until(lambda: second.types[-1] == "TaskCompleted")

    async with following(stage, task, after=second.last_id) as third:
        await wait_until(lambda: third.comments == ["follows the task"])
        assert third.events == []


async def test_a_follower_until_the_end_is_let_go_at_the_end(stage: Stage) -> None:
    task = await stage.task()
    async with following(stage, task, until="terminal") as follower:
        await stage.complete(task, "begin")
        await stage.complete(task, "left", "right", result={})
        assert not follower.has_ended
        await stage.complete(task, "end")
        await wait_until(lambda: follower.is_closed)

    assert follower.has_ended
    assert follower.types[-1] == "TaskCompleted"


async def test_a_task_that_was_reopened_has_not_ended(stage: Stage) -> None:
    task = await stage.task()
    await stage.complete(task, "begin")
    await stage.fail(task, "left")
    await stage.complete(task, "right", result={})
    await stage.post(f"/v1/tasks/{task}/steps/left/retry")

    async with following(stage, task, until="terminal") as follower:
        await wait_until(lambda: "TaskReopened" in follower.types)
        assert not follower.has_ended
        await stage.post(f"/v1/tasks/{task}/cancel")
        await wait_until(lambda: follower.has_ended)


async def test_a_follower_that_saw_the_end_is_told_not_to_come_back(stage: Stage) -> None:
    task = await stage.task()
    await stage.post(f"/v1/tasks/{task}/cancel")
    async with following(stage, task, until="terminal") as follower:
        await wait_until(lambda: follower.is_closed)

    answer = await stage.client.get(
        f"/v1/tasks/{task}/events", params={"until": "terminal"}, headers={"Last-Event-ID": follower.last_id}
    )

    assert answer.status_code == 204


async def test_a_silent_task_is_shown_to_be_alive(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepbus.projections.api.handlers.events.HEARTBEAT_S", 0.02)
    task = await stage.task()

    async with following(stage, task) as follower:
        await wait_until(lambda: follower.comments.count("alive") >= 2)


async def test_a_follower_that_does_not_keep_up_is_let_go_and_can_come_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepbus.projections.api.live.MOST_WAITING", 1)  # the place of the farewell alone
    task = await stage.task()
    async with following(stage, task) as follower:
        await wait_until(lambda: len(follower.events) == 2)
        await stage.complete(task, "begin")
        await wait_until(lambda: follower.is_closed)
    monkeypatch.undo()

    assert follower.comments[-1] == "closes; come back with the last id"
    async with following(stage, task, last_id=follower.last_id) as again:
        await wait_until(lambda: [event["sequence"] for event in again.events] == [3, 4, 5])


async def test_no_more_followers_are_taken_than_can_be_served(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepbus.projections.api.live.MOST_LISTENERS", 1)
    task = await stage.task()
    async with following(stage, task) as follower:
        await wait_until(lambda: len(follower.events) == 2)

        answer = await stage.client.get(f"/v1/tasks/{task}/events")

    assert (answer.status_code, answer.json()["code"]) == (503, "events.too_many")


async def test_a_follower_that_leaves_makes_room(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepbus.projections.api.live.MOST_LISTENERS", 1)
    task = await stage.task()
    async with following(stage, task) as follower:
        await wait_until(lambda: follower.events)

    async def has_room() -> bool:
        await stage.beat(task, "begin", progress=str(len(follower.events)))
        async with stage.client.stream("GET", f"/v1/tasks/{task}/events") as answer:
            return answer.status_code == 200

    await wait_until(has_room)


async def test_streams_end_when_the_server_stops(stage: Stage) -> None:
    task = await stage.task()
    async with following(stage, task) as follower:
        await wait_until(lambda: len(follower.events) == 2)

        await stage.server.stop()

        await wait_until(lambda: follower.is_closed)
        assert follower.comments[-1].startswith("closes")


@pytest.mark.parametrize("last_id", ["x", "1", "1.", ".1", "-1.0", "1.0.0", "9" * 20 + ".0"])
async def test_an_id_that_no_event_has_is_refused(stage: Stage, last_id: str) -> None:
    task = await stage.task()

    answer = await stage.client.get(f"/v1/tasks/{task}/events", headers={"Last-Event-ID": last_id})

    assert (answer.status_code, answer.json()["code"]) == (400, "events.last_id")


async def test_what_is_no_task_has_no_events(stage: Stage) -> None:
    answer = await stage.client.get(f"/v1/tasks/{CATALOGUE_STREAM}/events")

    assert (answer.status_code, answer.json()["code"]) == (404, "task.unknown")
