"""Tasks through the API, over real HTTP on loopback."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from stepbus.contracts.template import from_mapping
from stepbus.orchestrator.runtime.serve import Limits
from tests.support.api import Stage, staged
from tests.support.world import request

SHIPPING = from_mapping(
    {
        "name": "ship",
        "namespace": "shop",
        "version": "2.0.0",
        "context_schema": {"type": "object", "required": ["order"], "properties": {"order": {"type": "integer"}}},
        "steps": [{"name": "pack@dock:1+a.b", "handler": "dock.pack", "skippable": True}],
    }
)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as found:
        yield found


async def test_a_task_is_accepted_and_can_be_read_at_the_position_of_its_acceptance(stage: Stage) -> None:
    answer = await stage.client.post("/v1/tasks", json={"template": "fork_and_join", "context": {"order": 7}})

    assert answer.status_code == 202
    receipt = answer.json()
    assert answer.headers["Location"] == f"/v1/tasks/{receipt['task_id']}"
    assert answer.headers["Stepbus-Position"] == str(receipt["position"])
    assert receipt["repeated"] is False
    shown = await stage.client.get(answer.headers["Location"], params={"min_position": receipt["position"]})
    assert shown.status_code == 200
    assert int(shown.headers["Stepbus-Position"]) >= receipt["position"]
    task = shown.json()
    assert (task["name"], task["version"], task["status"]) == ("fork_and_join", "1.0.0", "in_progress")
    assert task["context"] == {"order": 7}
    assert task["position"] == receipt["position"]


async def test_a_request_with_the_same_key_is_the_same_task(stage: Stage) -> None:
    request = {"template": "fork_and_join"}

    first = await stage.client.post("/v1/tasks", json=request, headers={"Idempotency-Key": "order-7"})
    quoted = await stage.client.post("/v1/tasks", json=request, headers={"Idempotency-Key": '"order-7"'})
    in_body = await stage.client.post("/v1/tasks", json=request | {"idempotency_key": "order-7"})
    other = await stage.client.post("/v1/tasks", json=request, headers={"Idempotency-Key": "order-8"})

    ids = [answer.json()["task_id"] for answer in (first, quoted, in_body, other)]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert [answer.json()["repeated"] for answer in (first, quoted, in_body, other)] == [False, True, True, False]
    assert (await stage.get(f"/v1/tasks/{ids[1]}", min_position=quoted.json()["position"]))["task_id"] == ids[0]
    assert len((await stage.get("/v1/tasks"))["tasks"]) == 2


async def test_two_different_keys_for_one_request_are_refused(stage: Stage) -> None:
    request = {"template": "fork_and_join", "idempotency_key": "one"}

    answer = await stage.client.post("/v1/tasks", json=request, headers={"Idempotency-Key": "other"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/idempotency_key"


async def test_everything_that_is_wrong_with_a_request_is_said_at_once(stage: Stage) -> None:
    await stage.register(SHIPPING)

    body = await stage.client.post("/v1/tasks", json={"template": 7, "contxt": {}, "timeout_ms": "5"})
    context = await stage.client.post(
        "/v1/tasks",
        json={"template": "ship", "namespace": "shop", "context": {"order": "x"}, "bypass_steps": ["pack", "wrap"]},
    )

    assert body.status_code == 422
    assert {error["pointer"] for error in body.json()["errors"]} == {"/template", "/contxt", "/timeout_ms"}
    assert context.status_code == 422
    assert [error["pointer"] for error in context.json()["errors"]] == [
        "/context/order",
        "/bypass_steps/0",
        "/bypass_steps/1",
    ]


async def test_a_template_that_is_not_registered_is_named_in_the_refusal(stage: Stage) -> None:
    answer = await stage.client.post("/v1/tasks", json={"template": "fork_and_spoon"})

    assert answer.status_code == 422
    assert answer.json()["code"] == "template.unknown"
    assert answer.json()["errors"][0]["pointer"] == "/template"


async def test_tasks_are_listed_by_what_is_asked_and_page_by_page(stage: Stage) -> None:
    await stage.register(SHIPPING)
    joins = [await stage.task() for _ in range(5)]
    ship = await stage.task(template="ship", namespace="shop", context={"order": 1})
    await stage.post(f"/v1/tasks/{joins[0]}/cancel", {"reason": "too late"})

    async def ids(**query: str | int) -> list[str]:
        return [task["task_id"] for task in (await stage.get("/v1/tasks", **query))["tasks"]]

    in_order = [str(task) for task in (*joins, ship)]
    assert await ids() == in_order[::-1]
    assert await ids(sort="accepted_at") == in_order
    assert await ids(status="cancelled") == [in_order[0]]
    assert await ids(status="cancelled,in_progress", sort="accepted_at") == in_order
    assert await ids(namespace="shop") == [in_order[5]]
    assert await ids(name="fork_and_join", version="1.0.0", limit=2) == in_order[4:2:-1]
    assert await ids(version="9.9.9") == []
    assert (await ids(sort="-changed_at"))[0] in {in_order[0], in_order[5]}
    assert (await ids(sort="name"))[-1] == in_order[5]
    walked, query = [], {"limit": 4, "sort": "-name"}
    while True:
        page = await stage.get("/v1/tasks", **query)
        walked += [task["task_id"] for task in page["tasks"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert walked == [in_order[5], *in_order[4::-1]]


async def test_tasks_are_listed_by_the_time_of_their_acceptance(stage: Stage) -> None:
    task = await stage.task()
    at_ms = (await stage.get(f"/v1/tasks/{task}"))["accepted_at_ms"]

    async def count(**query: str | int) -> int:
        return len((await stage.get("/v1/tasks", **query))["tasks"])

    assert await count(created_after=at_ms, created_before=at_ms + 1) == 1
    assert await count(created_after=at_ms + 1) == 0
    assert await count(created_before=at_ms) == 0
    assert await count(created_after="2020-01-01T00:00:00+01:00", created_before="2999-01-01T00:00:00Z") == 1


async def test_a_list_entry_says_how_far_a_task_is_and_how_it_ended(stage: Stage) -> None:
    task = await stage.task()
    await stage.complete(task, "begin")
    await stage.fail(task, "left")
    await stage.complete(task, "right", result={})

    (shown,) = (await stage.get("/v1/tasks"))["tasks"]

    assert (shown["status"], shown["code"]) == ("error", "task.blocked_by_failures")
    assert shown["failed_steps"] == ["left"]
    assert (shown["completed_steps"], shown["total_steps"], shown["completion_percentage"]) == (2, 4, 50.0)
    assert shown["ended_at_ms"] >= shown["accepted_at_ms"]


async def test_a_task_shows_its_execution_context_and_the_state_in_memory(stage: Stage) -> None:
    task = await stage.task()
    await stage.complete(task, "begin")
    await stage.beat(task, "left")

    shown = await stage.get(f"/v1/tasks/{task}")

    context = shown["execution"]
    assert (context["execution_status"], context["recommended_action"]) == ("has_ready_steps", "execute_ready_steps")
    assert (context["health_status"], context["completion_percentage"]) == ("healthy", 25.0)
    assert (context["ready_steps"], context["in_progress_steps"], context["pending_steps"]) == (1, 1, 1)
    live = await stage.parts.desk.live_state(task)
    assert live is not None
    assert shown["state"] == {"version": live.version, "events": live.events, "digest": live.digest}


async def test_each_step_says_why_it_is_where_it_is(stage: Stage) -> None:
    task = await stage.task()
    await stage.complete(task, "begin", result={"n": 1})
    await stage.fail(task, "left")
    await stage.beat(task, "right", progress={"done": 1})

    found = await stage.get(f"/v1/tasks/{task}/steps")

    begin, left, right, end = found["steps"]
    assert (begin["state"], begin["readiness"]["blocked_by"], begin["level"]) == ("complete", None, 0)
    assert (left["state"], left["readiness"]["blocked_by"]) == ("error", "failed_for_good")
    assert left["last_failure"] == {
        "code": "stock.none",
        "message": "no stock",
        "retryable": False,
        "details": {"sku": 7},
    }
    assert [command["command_line"] for command in left["readiness"]["commands"]] == [
        f"stepbus task retry {task} left",
        f"stepbus task resolve {task} left",
    ]
    assert (right["state"], right["progress"]) == ("in_progress", {"done": 1})
    assert right["readiness"]["next_at_ms"] == right["deadline_at_ms"]
    assert (end["state"], end["waiting_on"], end["level"]) == ("pending", 2, 2)
    assert end["readiness"]["waits_for"] == ["left", "right"]


async def test_steps_are_listed_by_state_and_page_by_page(stage: Stage) -> None:
    task = await stage.task()

    pending = await stage.get(f"/v1/tasks/{task}/steps", state="pending,error")
    first = await stage.get(f"/v1/tasks/{task}/steps", limit=3)
    second = await stage.get(f"/v1/tasks/{task}/steps", limit=3, cursor=first["next_cursor"])

    assert [step["step"] for step in pending["steps"]] == ["left", "right", "end"]
    assert [step["step"] for step in first["steps"]] == ["begin", "left", "right"]
    assert [step["step"] for step in second["steps"]] == ["end"]
    assert second["next_cursor"] is None


async def test_one_step_shows_its_result_its_attempts_its_neighbours_and_what_blocks_it(stage: Stage) -> None:
    task = await stage.task()
    await stage.complete(task, "begin", result={"n": 1})
    await stage.fail(task, "left")

    begin = await stage.get(f"/v1/tasks/{task}/steps/begin")
    end = await stage.get(f"/v1/tasks/{task}/steps/end")

    assert begin["result"] == {"n": 1}
    assert (begin["depends_on"], begin["dependents"]) == ([], ["left", "right"])
    assert [attempt["outcome"] for attempt in begin["attempts"]] == ["completed"]
    assert (end["depends_on"], end["dependents"], end["result"]) == (["left", "right"], [], None)
    assert end["blockers"] == [{"step": "left", "state": "error"}, {"step": "right", "state": "dispatched"}]


async def test_a_step_whose_name_needs_escaping_is_found(stage: Stage) -> None:
    await stage.register(SHIPPING)
    task = await stage.task(template="ship", namespace="shop", context={"order": 1})

    shown = await stage.get(f"/v1/tasks/{task}/steps/pack%40dock%3A1%2Ba.b")
    plain = await stage.get(f"/v1/tasks/{task}/steps/pack@dock:1+a.b")

    assert shown["step"] == plain["step"] == "pack@dock:1+a.b"
    resolved = await stage.post(f"/v1/tasks/{task}/steps/pack%40dock%3A1%2Ba.b/resolve", {"result": {"by": "hand"}})
    assert resolved.status_code == 200
    assert (await stage.get(f"/v1/tasks/{task}"))["status"] == "complete"


async def test_the_timeline_has_each_attempt_with_its_duration(stage: Stage) -> None:
    task = await stage.task()
    await stage.complete(task, "begin")
    await stage.fail(task, "left", retryable=True)

    found = (await stage.get(f"/v1/tasks/{task}/timeline", limit=3))["attempts"]

    assert [(attempt["step"], attempt["outcome"]) for attempt in found] == [
        ("begin", "completed"),
        ("left", "failed"),
        ("right", None),
    ]
    assert found[0]["duration_ms"] == found[0]["ended_at_ms"] - found[0]["dispatched_at_ms"]
    assert found[1]["retry_at_ms"] >= found[1]["dispatched_at_ms"]
    assert found[2]["duration_ms"] is None


async def test_the_history_has_every_event_in_order_page_by_page(stage: Stage) -> None:
    task = await stage.task(context={"a": 1})
    await stage.complete(task, "begin", result=[1])

    walked, query = [], {"limit": 2}
    while True:
        page = await stage.get(f"/v1/tasks/{task}/history", **query)
        walked += page["events"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]

    assert [(event["sequence"], event["type"], event["step"]) for event in walked] == [
        (1, "TaskAccepted", None),
        (2, "StepDispatched", "begin"),
        (3, "StepCompleted", "begin"),
        (4, "StepDispatched", "left"),
        (5, "StepDispatched", "right"),
    ]
    assert walked[0]["data"]["context"] == {"a": 1}
    assert walked[2]["data"] == {"step": "begin", "attempt": 1, "result": [1]}
    assert walked[0]["actor"] == "client/http"
    assert [event["index"] for event in walked] == [0, 1, 0, 1, 2]


async def test_the_graph_has_states_and_levels_and_is_drawn_as_mermaid(stage: Stage) -> None:
    task = await stage.task()
    await stage.complete(task, "begin")

    graph = await stage.get(f"/v1/tasks/{task}/graph")
    drawn = await stage.client.get(f"/v1/tasks/{task}/graph", params={"format": "mermaid"})

    assert [(node["step"], node["level"], node["state"]) for node in graph["nodes"]] == [
        ("begin", 0, "complete"),
        ("left", 1, "dispatched"),
        ("right", 1, "dispatched"),
        ("end", 2, "pending"),
    ]
    assert {"source": "left", "target": "end"} in graph["edges"]
    assert drawn.headers["content-type"].startswith("text/vnd.mermaid")
    assert drawn.text.startswith("flowchart TD\n")
    assert '  s0["begin<br/>complete"]:::complete' in drawn.text
    assert "  s0 --> s1" in drawn.text


async def test_an_operator_moves_a_failed_task_on(stage: Stage) -> None:
    task = await stage.task()
    await stage.complete(task, "begin")
    await stage.fail(task, "left")
    await stage.complete(task, "right", result={})
    assert (await stage.get(f"/v1/tasks/{task}"))["status"] == "error"

    retried = await stage.post(f"/v1/tasks/{task}/steps/left/retry", {"reason": "restocked"})
    assert retried.status_code == 200
    assert retried.headers["Stepbus-Position"] == str(retried.json()["position"])
    assert (await stage.get(f"/v1/tasks/{task}"))["status"] == "in_progress"
    step = await stage.get(f"/v1/tasks/{task}/steps/left")
    assert (step["state"], step["attempt"], step["resolution"]) == ("dispatched", 2, "restocked")

    resolved = await stage.post(f"/v1/tasks/{task}/steps/left/resolve", {"result": {"n": 1}, "reason": "by hand"})
    assert resolved.status_code == 200
    await stage.complete(task, "end")
    shown = await stage.get(f"/v1/tasks/{task}")
    assert (shown["status"], shown["execution"]["execution_status"]) == ("complete", "all_complete")
    history = (await stage.get(f"/v1/tasks/{task}/history"))["events"]
    assert {event["actor"] for event in history if event["type"] in ("StepReopened", "StepResolvedManually")} == {
        "operator/http"
    }


async def test_an_operator_cancels_or_resolves_a_task(stage: Stage) -> None:
    cancelled, resolved = await stage.task(), await stage.task()

    assert (await stage.post(f"/v1/tasks/{cancelled}/cancel", {"reason": "too late"})).status_code == 200
    assert (await stage.client.post(f"/v1/tasks/{resolved}/resolve")).status_code == 200

    shown = await stage.get(f"/v1/tasks/{cancelled}")
    assert (shown["status"], shown["reason"]) == ("cancelled", "too late")
    assert shown["execution"]["recommended_action"] == "none"
    assert (await stage.get(f"/v1/tasks/{resolved}"))["status"] == "resolved_manually"
    again = await stage.post(f"/v1/tasks/{cancelled}/cancel")
    assert (again.status_code, again.json()["repeated"]) == (200, True)


async def test_what_the_state_of_a_task_does_not_allow_is_a_conflict(stage: Stage) -> None:
    task = await stage.task()

    healthy = await stage.post(f"/v1/tasks/{task}/steps/begin/retry")
    await stage.post(f"/v1/tasks/{task}/cancel")
    ended = await stage.post(f"/v1/tasks/{task}/steps/begin/resolve", {"result": 1})

    assert (healthy.status_code, healthy.json()["code"]) == (409, "step.not_failed")
    assert (ended.status_code, ended.json()["code"]) == (409, "task.ended")


@pytest.mark.parametrize("path", ["", "/steps", "/steps/begin", "/timeline", "/history", "/graph", "/events"])
async def test_a_task_that_was_never_accepted_is_not_found(stage: Stage, path: str) -> None:
    answer = await stage.client.get(f"/v1/tasks/{uuid4()}{path}")

    assert (answer.status_code, answer.json()["code"]) == (404, "task.unknown")


@pytest.mark.parametrize("path", ["cancel", "resolve", "steps/begin/retry", "steps/begin/resolve"])
async def test_nothing_can_be_done_to_a_task_that_was_never_accepted(stage: Stage, path: str) -> None:
    answer = await stage.post(f"/v1/tasks/{uuid4()}/{path}")

    assert answer.status_code == 404


async def test_a_step_that_the_template_has_not_is_not_found(stage: Stage) -> None:
    task = await stage.task()

    shown = await stage.client.get(f"/v1/tasks/{task}/steps/middle", params={"min_position": await stage.store.head()})
    retried = await stage.post(f"/v1/tasks/{task}/steps/middle/retry")

    assert (shown.status_code, shown.json()["code"]) == (404, "step.unknown")
    assert (retried.status_code, retried.json()["code"]) == (404, "step.unknown")


async def test_a_read_that_must_see_what_is_not_there_yet_gives_up_and_says_where_the_view_stands(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepbus.projections.api.dispatch.VIEW_TIMEOUT_S", 0.05)

    answer = await stage.client.get("/v1/tasks", params={"min_position": 1_000_000})

    assert (answer.status_code, answer.json()["code"]) == (503, "view.behind")
    assert "shows" in answer.json()["detail"]
    assert answer.headers["Retry-After"] == "1"


async def test_while_too_much_waits_a_task_is_turned_away_with_the_time_after_which_to_ask_again() -> None:
    async with staged(limits=Limits(backlog_limit=1)) as stage:
        await stage.parts.parts["rounds"].end()
        waiting = stage.parts.coordinator.submit_all([request(), request()])

        answer = await stage.post("/v1/tasks", {"template": "fork_and_join"})

        assert (answer.status_code, answer.json()["code"]) == (503, "task.overloaded")
        assert answer.headers["Retry-After"] == "1"
        stage.parts.parts["rounds"].begin()
        await waiting
        assert (await stage.post("/v1/tasks", {"template": "fork_and_join"})).status_code == 202


async def test_while_too_many_are_connected_new_tasks_are_turned_away_and_nothing_else_is(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await stage.task()
    monkeypatch.setattr("stepbus.projections.api.crowd.MOST_CONNECTIONS", 0)
    assert (await stage.post("/v1/tasks", {"template": "fork_and_join"})).status_code == 202  # few are in hand
    monkeypatch.setattr("stepbus.projections.api.crowd.ALWAYS_IN_HAND", 0)

    answer = await stage.post("/v1/tasks", {"template": "fork_and_join"})

    assert (answer.status_code, answer.json()["code"]) == (503, "task.overloaded")
    assert "found 1;" in answer.json()["detail"]
    assert (answer.headers["Retry-After"], answer.headers["Connection"]) == ("1", "close")
    assert (await stage.client.get("/v1/tasks")).status_code == 200
    assert (await stage.post(f"/v1/tasks/{task}/cancel")).status_code == 200
