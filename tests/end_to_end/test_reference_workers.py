"""The reference workers: they pass the conformance kit, and with a real coordinator tasks end as they must.

One whose toolchain is not on this machine is named in the summary of the run, with what it needs.
"""

import asyncio
import json
import shlex
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.orchestrator.testing.worker_kit import RULES
from tests.support.conforming import conform
from tests.support.deployment import Deployment, deployed, settings_of
from tests.support.reference_workers import ROOT, WORKERS, Absences, ReferenceWorker, built, serving, words

pytestmark = pytest.mark.timeout(300)  # a whole trial, after the start of a server

ORDER: dict[str, Any] = json.loads((ROOT / "examples/order_fulfilment/orders.jsonl").read_text().splitlines()[0])[
    "context"
]
SERVED = {"conform.probe", "orders.create_shipment", "orders.reserve_inventory", "orders.send_confirmation"}
PAIRS = [(worker.name, bus) for worker in WORKERS.values() for bus in worker.buses]


@pytest.fixture(scope="module")
def absences(pytestconfig: pytest.Config) -> Absences:
    absences = Absences()
    pytestconfig.pluginmanager.register(absences)
    return absences


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request: pytest.FixtureRequest) -> tuple[ReferenceWorker, str]:
    """A worker, and the URL of a broker that it knows."""
    name, bus = request.param
    return WORKERS[name], request.getfixturevalue(f"{bus}_url")


@pytest.fixture
async def deployment(pair: tuple[ReferenceWorker, str], tmp_path: Path, unique_name: str) -> AsyncIterator[Deployment]:
    async with deployed(settings_of(tmp_path, pair[1], unique_name)) as found:
        await found.register(
            {"name": "first", "handler": "conform.probe"},
            {"name": "second", "handler": "conform.probe", "depends_on": ["first"]},
            name="probing",
        )
        await found.register(
            {"name": "reserve", "handler": "orders.reserve_inventory"},
            {"name": "ship", "handler": "orders.create_shipment", "depends_on": ["reserve"]},
            {"name": "confirm", "handler": "orders.send_confirmation", "depends_on": ["ship"]},
            name="order",
        )
        yield found


async def test_tasks_end_as_they_must(
    pair: tuple[ReferenceWorker, str], deployment: Deployment, absences: Absences
) -> None:
    worker, bus = pair
    if lacking := built(worker.name):
        absences.of[worker.name] = lacking
        return
    async with serving(worker, bus, deployment.settings.prefix, STEPBUS_WORKER="reference-1") as process:
        tasks = [await deployment.submit("probing", context={"do": "echo", "value": n}) for n in range(5)]
        failing = {"do": "fail", "code": "probe.declined", "message": "never", "retryable": False}
        failed = await deployment.submit("probing", context=failing)
        order = await deployment.submit(
            "order", context=ORDER | {"delivery": ORDER["delivery"] | {"carrier": "hermod"}}
        )

        for number, task in enumerate(tasks):
            assert (await deployment.ended(task))["status"] == "complete"
            assert await deployment.result(task, "second") == {"echo": number}
        assert (await deployment.ended(failed))["status"] == "error"
        assert (await deployment.attempts(failed)) == [("first", 1, "failed", "probe.declined")]
        assert (await deployment.ended(order))["status"] == "complete"
        assert [code for *_, code in await deployment.attempts(order)] == [None, "carrier.busy", None, None]
        assert (await deployment.result(order, "confirm"))["sent_to"] == ORDER["customer"]["email"]

        announced = await announcement(deployment)
        assert announced["worker"] == "reference-1"
        assert {handler["handler"] for handler in announced["handlers"]} >= SERVED

        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def announcement(deployment: Deployment) -> dict[str, Any]:
    """What the one worker of a deployment has said of itself, once it is known."""
    known: list[dict[str, Any]] = []

    async def is_known() -> bool:
        known[:] = (await deployment.http.get("/v1/workers")).json()["workers"]
        return bool(known)

    await wait_until(is_known)
    (announced,) = known
    return announced


async def test_it_keeps_to_every_rule_of_the_kit(
    pair: tuple[ReferenceWorker, str], unique_name: str, absences: Absences
) -> None:
    worker, bus = pair
    if lacking := built(worker.name):
        absences.of[worker.name] = lacking
        return
    start = f"cd {shlex.quote(str(worker.folder))} && exec {shlex.join(words(worker))}"

    ran = await conform(bus, unique_name, "--command", shlex.join(["sh", "-c", start]), "--json")

    assert ran.code == 0, ran.rules("failed") if ran.said else ran.errors
    assert list(ran.rules("passed")) == [rule.id for rule in RULES]
