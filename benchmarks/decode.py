"""Replay: how many events a second are read from their stored bytes, and folded into the state of their task.

The log is that of 1,000 linear tasks of 10 steps, written by the core.
"""

from collections.abc import Callable
from time import perf_counter
from uuid import UUID

from stepbus.contracts import events as e
from stepbus.contracts.template import from_mapping
from stepbus.orchestrator.bench.script import options, tell
from stepbus.orchestrator.bench.workloads import PAYLOAD, WORKLOADS
from stepbus.orchestrator.core.commands import Command, CompleteStep, RequestTask
from stepbus.orchestrator.core.decide import decide
from stepbus.orchestrator.core.evolve import absorb, fold
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.core.state import TaskState, TaskStatus

TASKS = 1_000
AT_MS = 1_800_000_000_000


def history(plan: Plan, task_id: UUID) -> list[bytes]:
    """Give the records of one task, from its request to its end."""
    commands: list[Command] = [RequestTask(task_id=task_id, plan=plan, context=PAYLOAD, request_id="r", at_ms=AT_MS)]
    commands += [CompleteStep(task_id, step.name, 1, PAYLOAD, AT_MS) for step in plan.steps]
    meta = e.Metadata(at_ms=AT_MS, correlation_id=str(task_id), causation_id=str(task_id), actor="worker/bench")
    state = TaskState.blank(task_id, plan)
    records = []
    for command in commands:
        events = decide(state, command).events
        records.append(e.encode_record(e.Record(state.events + 1, meta, events)))
        state = fold(state, events)
    return records


def replay(plan: Plan, histories: dict[UUID, list[bytes]]) -> int:
    """Fold every task from its bytes, and give how many events that were."""
    events = 0
    for task_id, records in histories.items():
        state = TaskState.blank(task_id, plan)
        for data in records:
            for event in e.decode_record(data).events:
                absorb(state, event)
        if state.status is not TaskStatus.COMPLETE:
            raise RuntimeError(f"expected a task that is complete, found {state.status}")
        events += state.events
    return events


def decode(histories: dict[UUID, list[bytes]]) -> int:
    """Read every record, and give how many events they hold."""
    return sum(len(e.decode_record(data).events) for records in histories.values() for data in records)


def rate(read: Callable[[], int]) -> float:
    """Give the events a second of a way to read them."""
    begun = perf_counter()
    events = read()
    return events / (perf_counter() - begun)


def main() -> None:
    """Measure both: bytes to events, and bytes to state."""
    given = options(__doc__)
    plan = Plan.of(from_mapping(WORKLOADS["W2"].template))
    ids = [UUID(int=number) for number in range(1, 1 + max(1, round(TASKS * given.scale)))]
    histories = {task_id: history(plan, task_id) for task_id in ids}
    decoded, replayed = [], []
    for _ in range(given.runs):
        decoded.append(rate(lambda: decode(histories)))
        replayed.append(rate(lambda: replay(plan, histories)))
    size = sum(len(data) for records in histories.values() for data in records)
    tell("decode", "events/s", decoded, bytes_an_event=round(size / decode(histories)))
    tell("decode and evolve", "events/s", replayed, target=-100_000)


if __name__ == "__main__":
    main()
