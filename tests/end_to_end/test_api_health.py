"""Is it alive, does it do its work?"""

from collections.abc import Callable
from importlib.metadata import entry_points
from uuid import uuid4

import pytest

from stepbus.contracts import events as e
from stepbus.orchestrator.ports import ApiSettings, Append, Role, StoreUnavailable, Surroundings
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.api import staged


async def test_a_process_that_does_its_work_is_ready_and_tells_how_each_part_is() -> None:
    async with staged() as stage:
        alive = await stage.client.get("/v1/health/live")
        ready = await stage.client.get("/v1/health/ready")

    assert alive.json() == {"alive": True}
    assert ready.status_code == 200
    assert ready.json()["ready"] is True
    assert {"projections", "api", "views"} <= set(ready.json()["parts"])


async def test_a_view_that_stopped_makes_the_process_unready_and_is_named_with_its_position() -> None:
    async with staged() as stage:
        record = e.encode_record(e.Record(first=1, meta=e.Metadata(at_ms=1), events=(e.TaskCompleted(),)))
        await stage.store.append([Append(uuid4(), 0, e.TASK, record.replace(b"TaskCompleted", b"TaskTeleported"))])
        position = await stage.store.head()
        await wait_until(lambda: not stage.runner.health()[0])

        answer = await stage.client.get("/v1/health/ready")
        alive = await stage.client.get("/v1/health/live")

    assert alive.status_code == 200
    assert (answer.status_code, answer.json()["code"]) == (503, "health.not_ready")
    (part,) = [error for error in answer.json()["errors"] if error["pointer"] == "/parts/projections"]
    assert f"stopped at position {position}" in part["message"]


async def test_a_store_that_is_away_is_said_so_and_the_request_may_be_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(*_args: object) -> int:
        raise StoreUnavailable("the disk is gone")

    async with staged() as stage:
        with monkeypatch.context() as patched:
            patched.setattr(stage.views, "checkpoint", away)
            listed = await stage.client.get("/v1/tasks")
            ready = await stage.client.get("/v1/health/ready")
        again = await stage.client.get("/v1/tasks")

    assert (listed.status_code, listed.json()["code"]) == (503, "store.unavailable")
    assert listed.headers["Retry-After"] == "1"
    assert "disk" not in listed.text
    assert "/parts/views" in [error["pointer"] for error in ready.json()["errors"]]
    assert again.status_code == 200


@pytest.mark.parametrize("name", ["api", "projections"])
async def test_a_role_is_found_by_its_entry_point_and_says_how_it_is(name: str) -> None:
    (entry,) = entry_points(group="stepbus.roles", name=name)
    make: Callable[[Surroundings], Role] = entry.load()
    async with staged() as stage:
        role = make(Surroundings(stage.store, stage.views, stage.parts.desk, ApiSettings(port=0)))
        before = role.health()
        line = await role.start()
        during = role.health()
        await role.stop()

    assert not before[0]
    assert during[0]
    assert line.startswith("http://127.0.0.1:") if name == "api" else "7 views" in during[1]


async def test_an_api_that_was_never_started_can_be_stopped() -> None:
    (entry,) = entry_points(group="stepbus.roles", name="api")
    async with staged() as stage:
        role: Role = entry.load()(Surroundings(stage.store, stage.views, stage.parts.desk, ApiSettings(port=0)))

        await role.stop()

    assert role.health() == (False, "not started")
