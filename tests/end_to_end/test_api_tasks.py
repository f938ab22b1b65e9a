"""Tasks through the API, over real HTTP on loopback."""

from collections.abc import AsyncIterator

import pytest

from tests.support.api import Stage, staged


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
