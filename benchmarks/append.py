"""Appends to one stream from its first version to its 100,000th: a long history must not cost more than a short one.

The records are those of a step in the middle of a task, in groups of 100 a commit, through the `EventStore` port. The
stream is cut into ten stretches; told are the first, the last, and their ratio.
"""

import asyncio
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from uuid import uuid4

from stepbus.contracts import events as e
from stepbus.orchestrator.bench.plan import Plan, store_kind
from stepbus.orchestrator.bench.script import options, tell
from stepbus.orchestrator.bench.stage import fresh_settings, ground
from stepbus.orchestrator.bench.workloads import PAYLOAD
from stepbus.orchestrator.bootstrap import opened_store
from stepbus.orchestrator.ports import Append, Appended, EventStore

VERSIONS = 100_000
GROUP = 100
STRETCHES = 10


def record(first: int) -> bytes:
    """Give the record of a step that completed, and of the one dispatched with it."""
    completed = e.StepCompleted(step="s4", attempt=1, result=PAYLOAD)
    dispatched = e.StepDispatched(step="s5", attempt=1, deadline_at_ms=1_800_000_000_000)
    meta = e.Metadata(at_ms=1_800_000_000_000, correlation_id=str(uuid4()), causation_id=str(uuid4()))
    return e.encode_record(e.Record(first, meta, (completed, dispatched)))


async def stretches_us(store: EventStore, versions: int) -> list[float]:
    """Give what an append costs in each stretch of a new stream: the median of its groups, a record."""
    stream, data = uuid4(), record(1)
    costs: list[float] = []
    for start in range(0, versions, GROUP):
        group = [Append(stream, start + number, e.TASK, data) for number in range(GROUP)]
        begun = perf_counter()
        answers = await store.append(group)
        costs.append(1e6 * (perf_counter() - begun) / GROUP)
        if not all(isinstance(answer, Appended) for answer in answers):
            raise RuntimeError(f"expected the log to take every record, but {answers[0]}")
    size = len(costs) // STRETCHES
    return [median(costs[start : start + size]) for start in range(0, size * STRETCHES, size)]


async def measure(plan: Plan, folder: Path, versions: int) -> list[float]:
    """Give the stretches of one stream in a fresh log."""
    async with ground(plan, folder) as on, opened_store(fresh_settings(plan, on, "log")) as store:
        await stretches_us(store, versions // STRETCHES)  # a log's first files and pages cost more than its later ones
        return await stretches_us(store, versions)


def main() -> None:
    """Fill one stream a run."""
    given = options(__doc__, runs=3)
    store = store_kind(given.store)
    versions = max(GROUP * STRETCHES**2, round(VERSIONS * given.scale))
    runs = []
    for _ in range(given.runs):
        with TemporaryDirectory(prefix="stepbus-append-", dir=given.data) as folder:
            plan = Plan(workload="W1", store=given.store, folder=Path(folder))
            runs.append(asyncio.run(measure(plan, Path(folder), versions)))
    tell(f"append, first tenth of {versions:,} versions", "µs a record", [run[0] for run in runs], store=store)
    tell(f"append, last tenth of {versions:,} versions", "µs a record", [run[-1] for run in runs], store=store)
    ratios = [run[-1] / run[0] for run in runs]
    tell("append, last tenth to first", "x", ratios, target=1.1, store=store)


if __name__ == "__main__":
    main()
