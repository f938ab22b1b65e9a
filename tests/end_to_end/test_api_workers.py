"""Workers through the API, and what speaks against a template that they don't serve."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.api import Stage, staged
from tests.support.world import cloud_event, delivery

SERVED = {"handler": "orders.check", "contract": 1, "result_schema": {"type": "object"}}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as found:
        yield found


async def announce(stage: Stage, worker: str, *handlers: dict[str, Any]) -> None:
    body = cloud_event("worker.announced", {"worker": worker, "handlers": handlers})
    await stage.parts.intake.apply(delivery("tasks", body))


async def test_workers_are_listed_by_name_with_what_they_said_last(stage: Stage) -> None:
    await announce(stage, "w-2", SERVED)
    await announce(stage, "w-1", SERVED | {"handler": "orders.pay"})
    await announce(stage, "w-1", SERVED)
    await announce(stage, "w-3", SERVED)
    await announce(stage, "w-3")

    answer = await stage.client.get("/v1/workers")

    handler = SERVED | {"input_schema": None, "error_schema": None}
    assert answer.json() == {"workers": [{"worker": name, "handlers": [handler]} for name in ("w-1", "w-2")]}


async def test_a_template_that_nobody_serves_is_a_conflict_unless_it_is_forced(stage: Stage) -> None:
    await announce(stage, "w-1", SERVED)
    template = {"name": "order", "version": "1.0.0", "steps": [{"name": "pay"}]}

    refused = await stage.client.post("/v1/templates", json=template)
    assert refused.status_code == 409
    assert refused.json()["errors"][0]["code"] == "template.unserved"
    assert (await stage.client.post("/v1/templates", json=template, params={"force": "false"})).status_code == 409
    assert (await stage.client.post("/v1/templates", json=template, params={"force": "perhaps"})).status_code == 400

    assert (await stage.client.post("/v1/templates", json=template, params={"force": "true"})).status_code == 201
