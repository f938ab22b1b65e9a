"""The conformance kit on real NATS: a faultless worker passes every rule, and each faulty one fails the one meant."""

import asyncio
from collections.abc import Mapping
from uuid import uuid4

import pytest

from stepbus.adapters.nats import connect
from stepbus.orchestrator.ports import BusSettings
from stepbus.orchestrator.testing.worker_kit import RULES, Pace, Report, conform, probe_contract
from tests.support.faulty_workers.faults import FAULTS
from tests.support.faulty_workers.plain import InTask, PlainWorker

pytestmark = pytest.mark.timeout(600)  # all workers are tried before the first claim, be the machine slow

PACE = Pace(patience_s=10, start_s=10, redelivery_s=5, grace_s=20)
WORKERS = (*reversed(FAULTS), PlainWorker)  # those that take longest first
APART_S = 1.0

Reports = Mapping[type[PlainWorker], Report]


async def tried(url: str, worker: type[PlainWorker]) -> Report:
    settings = BusSettings(prefix=f"t{uuid4().hex[:16]}")
    adapter = connect(f"{url}?ack_wait={PACE.redelivery_s:g}")
    assert adapter.bus is not None
    bus, workers_bus = await adapter.bus(settings), await adapter.bus(settings)
    try:
        return await conform(bus, probe_contract(), PACE, InTask(worker, workers_bus))
    finally:
        await workers_bus.close()
        await bus.close()


@pytest.fixture(scope="module")
def reports(nats_url: str) -> Reports:
    """What the kit finds of every worker.

    Most of a trial is waiting, so they are tried side by side; and apart, so that they do not all work at one time: a
    stall of the loop that they share is late heartbeats for each.
    """

    async def try_all() -> Reports:
        trials = {}
        async with asyncio.TaskGroup() as group:
            for worker in WORKERS:
                trials[worker] = group.create_task(tried(nats_url, worker))
                await asyncio.sleep(APART_S)
        return {worker: trial.result() for worker, trial in trials.items()}

    return asyncio.run(try_all())


def test_a_faultless_worker_passes_every_rule(reports: Reports) -> None:
    findings = reports[PlainWorker].findings

    assert [(finding.rule.id, finding.outcome) for finding in findings] == [(rule.id, "passed") for rule in RULES]


@pytest.mark.parametrize("worker", FAULTS, ids=lambda worker: worker.__name__)
def test_a_faulty_worker_fails_the_rule_meant_and_no_other(reports: Reports, worker: type[PlainWorker]) -> None:
    assert reports[worker].failed == [FAULTS[worker]], [
        (finding.rule.id, finding.expected, finding.found) for finding in reports[worker].of("failed")
    ]


def test_every_rule_is_broken_by_a_worker() -> None:
    assert set(FAULTS.values()) == {rule.id for rule in RULES}
