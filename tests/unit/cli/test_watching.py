"""What is seen of a task while it runs, from the events as they come."""

from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import orjson
import pytest
from rich.console import Console

from stepbus.orchestrator.cli.drawing.board import Scene, board
from stepbus.orchestrator.cli.drawing.graph import Graph
from stepbus.orchestrator.cli.drawing.sketch import plain
from stepbus.orchestrator.cli.failure import Failure
from stepbus.orchestrator.cli.happenings import Event, followed, step_state_after, told
from stepbus.orchestrator.cli.remote import Api
from stepbus.orchestrator.cli.watch import Story

GRAPH = Graph.of([("a", ()), ("b", ("a",))])
TASK_ID = "0199d2a1-0000-7000-8000-000000000000"


def event(sequence: int, kind: str, step: str | None = None, attempt: int | None = None, **data: Any) -> Event:
    return {
        "sequence": sequence,
        "position": 10 + sequence,
        "index": 0,
        "type": kind,
        "step": step,
        "attempt": attempt,
        "at_ms": 1_000 * sequence,
        "actor": "worker/w1" if kind in {"StepCompleted", "StepFailed"} else "coordinator",
        "data": data,
    }


BAD_LUCK = {"code": "card.declined", "message": "try another"}
STORY = [
    event(1, "TaskAccepted"),
    event(2, "StepDispatched", "a", 1),
    event(3, "StepFailed", "a", 1, error=BAD_LUCK, retry_at_ms=5_000),
    event(4, "StepDispatched", "a", 2),
    event(5, "StepCompleted", "a", 2),
    event(6, "StepDispatched", "b", 1),
    event(7, "StepFailed", "b", 1, error=BAD_LUCK, retry_at_ms=None),
    event(8, "TaskFailed", code="task.blocked_by_failures", failed_steps=["b"]),
]


def story_of(events: Sequence[Event]) -> Story:
    story = Story.begun("shop/order 1.0.0", GRAPH)
    for one in events:
        story.hear(one)
    return story


@pytest.mark.parametrize(
    ("heard", "status", "states"),
    [
        (0, "pending", ["pending", "pending"]),
        (1, "in_progress", ["pending", "pending"]),
        (2, "in_progress", ["dispatched", "pending"]),
        (3, "in_progress", ["waiting_for_retry", "pending"]),
        (5, "in_progress", ["complete", "pending"]),
        (7, "in_progress", ["complete", "error"]),
        (8, "error", ["complete", "error"]),
    ],
)
def test_the_events_tell_the_states(heard: int, status: str, states: list[str]) -> None:
    story = story_of(STORY[:heard])

    assert story.status == status
    assert list(story.states.values()) == states


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("StepHeartbeatRecorded", "in_progress"),
        ("StepBypassed", "bypassed"),
        ("StepCancelled", "cancelled"),
        ("StepResolvedManually", "resolved_manually"),
        ("StepReopened", "pending"),
        ("TaskCompleted", None),
    ],
)
def test_each_event_of_a_step_has_its_state(kind: str, state: str | None) -> None:
    assert step_state_after(event(1, kind, "a", 1)) == state


def test_time_stands_still_once_the_task_has_ended() -> None:
    assert story_of(STORY[:4]).elapsed(now_ms=61_000) == "1 min 00 s"
    assert story_of(STORY).elapsed(now_ms=61_000) == "7.0 s"
    assert story_of([]).elapsed(now_ms=61_000) == ""


def test_an_event_is_told_with_its_step_its_attempt_and_its_reason() -> None:
    assert "StepFailed             a #1  card.declined: try another  retry at " in plain([told(STORY[2])])
    assert plain([told(STORY[2])]).endswith("by w1")
    assert "TaskFailed               task.blocked_by_failures  b" in plain([told(STORY[7])])


def test_what_a_worker_says_stays_in_its_line() -> None:
    hostile = event(3, "StepFailed", "a", 1, error={"code": "x", "message": "\x1b[2J\nTaskCompleted"}, retry_at_ms=None)

    assert "x: \\x1b[2J\\nTaskCompleted" in plain([told(hostile)])


def shown(scene: Scene, width: int = 80, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as captured:
        console.print(board(scene, width, height))
    return captured.get().rstrip("\n").split("\n")


def test_the_board_has_progress_graph_and_the_latest_events() -> None:
    story = story_of(STORY[:6])

    lines = shown(Scene(story.title, story.status, "5.0 s", GRAPH, story.states, story.latest))

    assert lines[0] == "shop/order 1.0.0  in_progress  5.0 s"
    assert lines[1] == "████████████████████████████████  1/2 steps  50 %  ◔1"
    assert lines[3] == "✓ a ─▶ ◔ b"
    assert lines[-1].strip().endswith("StepDispatched         b #1")


@pytest.mark.parametrize("height", [10, 16, 40])
def test_the_board_fits_the_terminal(height: int) -> None:
    fan = Graph.of([("root", ()), *((f"step_{number}", ("root",)) for number in range(30))])
    latest = [told(STORY[2])] * 50

    lines = shown(Scene("t", "in_progress", "1 s", fan, dict.fromkeys(fan.depends_on, "pending"), latest), 60, height)

    assert len(lines) <= height
    assert all(len(line) <= 60 for line in lines)


def stream(events: Sequence[Event], *, ends: bool) -> httpx.Response:
    parts = [f"id: {one['position']}.0\nevent: {one['type']}\ndata: {orjson.dumps(one).decode()}\n\n" for one in events]
    return httpx.Response(200, text="".join(parts) + ("event: end\ndata: {}\n\n" if ends else ""))


def api_with(answers: Iterator[httpx.Response | Exception], seen: list[httpx.Request]) -> Api:
    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    return Api("http://stepbus.test", None, httpx.MockTransport(answer))


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepbus.orchestrator.cli.happenings._LOOK_S", 0.0)


@pytest.mark.usefixtures("patience")
def test_a_stream_that_breaks_off_is_taken_up_behind_the_last_event() -> None:
    seen: list[httpx.Request] = []
    answers: Iterator[httpx.Response | Exception] = iter(
        [stream(STORY[:3], ends=False), httpx.ConnectError("gone"), stream(STORY[3:], ends=True)]
    )

    with api_with(answers, seen) as api:
        assert list(followed(api, TASK_ID)) == STORY

    assert [request.headers.get("last-event-id") for request in seen] == [None, "13.0", "13.0"]


@pytest.mark.usefixtures("patience")
def test_where_there_are_too_many_streams_the_history_is_read_until_the_end() -> None:
    seen: list[httpx.Request] = []
    pages = (httpx.Response(200, json={"events": STORY[:heard], "next_cursor": None}) for heard in (2, 2, 8))
    refusal = httpx.Response(503, json={"code": "events.too_many", "detail": "too many"})

    with api_with(iter([refusal, *pages]), seen) as api:
        assert list(followed(api, TASK_ID)) == STORY

    assert [request.url.path.rpartition("/")[2] for request in seen] == ["events", "history", "history", "history"]


@pytest.mark.usefixtures("patience")
def test_an_api_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepbus.orchestrator.cli.happenings._PATIENCE_S", -1.0)

    with api_with(iter([httpx.ConnectError("gone")]), []) as api, pytest.raises(Failure, match="gone"):
        list(followed(api, TASK_ID))


def test_a_task_that_is_not_there_is_not_waited_for() -> None:
    unknown = httpx.Response(404, json={"code": "task.unknown", "detail": "expected a task"})

    with api_with(iter([unknown]), []) as api, pytest.raises(Failure, match="expected a task"):
        list(followed(api, TASK_ID))
