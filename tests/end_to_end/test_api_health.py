"""Is it alive, does it do its work?"""

from uuid import uuid4

from stepbus.contracts import events as e
from stepbus.orchestrator.ports import Append
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
