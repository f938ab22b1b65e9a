"""The same story on every database: what the API says does not depend on where log and views are kept."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from stepbus.projections import rebuild_all
from tests.support.api import Stage, staged


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "postgresql":
            found: str = request.getfixturevalue("postgres_database")
            return found
        case "sqlite":
            return f"sqlite:///{tmp_path}/log.db"
        case _:
            return "memory:"


on_every_database = pytest.mark.parametrize("url", ["memory", "sqlite", "postgresql"], indirect=True)


async def told(stage: Stage) -> dict[str, Any]:
    """Tell a story in which everything happens, and give what the API says of it."""
    done, failed, stopped = [await stage.task(context={"n": number}) for number in range(3)]
    await stage.complete(done, "begin", result={"text": "naïve ✓"})
    await stage.beat(done, "left", progress={"done": 0.5})
    await stage.complete(done, "left", "right", result={})
    await stage.complete(done, "end")
    await stage.complete(failed, "begin")
    await stage.fail(failed, "left")
    await stage.post(f"/v1/tasks/{stopped}/cancel", {"reason": "too late"})

    listed = await stage.get("/v1/tasks", sort="accepted_at")
    pages: list[str] = []
    query: dict[str, Any] = {"limit": 1, "sort": "-changed_at"}
    while True:
        page = await stage.get("/v1/tasks", **query)
        pages += [task["status"] for task in page["tasks"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    shown = await stage.get(f"/v1/tasks/{failed}")
    steps = await stage.get(f"/v1/tasks/{failed}/steps")
    end = await stage.get(f"/v1/tasks/{failed}/steps/end")
    begin = await stage.get(f"/v1/tasks/{done}/steps/begin")
    timeline = await stage.get(f"/v1/tasks/{done}/timeline")
    history = await stage.get(f"/v1/tasks/{done}/history", limit=200)
    graph = await stage.get(f"/v1/tasks/{failed}/graph")
    templates = await stage.get("/v1/templates")
    return {
        "tasks": [(task["status"], task["completed_steps"], task["reason"]) for task in listed["tasks"]],
        "pages": sorted(pages),
        "execution": shown["execution"],
        "why": [(step["step"], step["state"], step["readiness"]["blocked_by"]) for step in steps["steps"]],
        "blockers": end["blockers"],
        "result": begin["result"],
        "attempts": [(each["step"], each["outcome"], each["started_at_ms"] is None) for each in timeline["attempts"]],
        "history": [(event["sequence"], event["type"], event["index"]) for event in history["events"]],
        "graph": [(node["step"], node["state"], node["level"]) for node in graph["nodes"]],
        "templates": [template["latest_version"] for template in templates["templates"]],
        "none": (await stage.client.get(f"/v1/tasks/{uuid4()}")).status_code,
    }


@on_every_database
async def test_the_api_says_the_same_on_every_database(url: str) -> None:
    async with staged(url) as stage:
        found = await told(stage)

    assert found["tasks"] == [("complete", 4, None), ("in_progress", 1, None), ("cancelled", 0, "too late")]
    assert found["pages"] == ["cancelled", "complete", "in_progress"]
    assert found["execution"]["execution_status"] == "has_ready_steps"
    assert found["execution"]["health_status"] == "recovering"
    assert found["why"] == [
        ("begin", "complete", None),
        ("left", "error", "failed_for_good"),
        ("right", "dispatched", None),
        ("end", "pending", "dependencies"),
    ]
    assert found["blockers"] == [{"step": "left", "state": "error"}, {"step": "right", "state": "dispatched"}]
    assert found["result"] == {"text": "naïve ✓"}
    assert found["attempts"] == [
        ("begin", "completed", True),
        ("left", "completed", False),
        ("right", "completed", True),
        ("end", "completed", True),
    ]
    assert [event[0] for event in found["history"]] == list(range(1, 12))
    assert found["history"][-1][1] == "TaskCompleted"
    assert found["graph"][3] == ("end", "pending", 2)
    assert found["templates"] == ["1.0.0"]
    assert found["none"] == 404


@on_every_database
async def test_views_built_live_and_views_rebuilt_are_the_same_on_every_database(url: str) -> None:
    async with staged(url) as stage:
        await told(stage)
        assert await stage.runner.wait_for(await stage.store.head(), 10)

        rebuilt = await rebuild_all(stage.store, stage.views)

        assert all(view.digest_before == view.digest_after for view in rebuilt), rebuilt
        assert {view.position for view in rebuilt} == {await stage.store.head()}
