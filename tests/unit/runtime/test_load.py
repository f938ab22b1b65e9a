"""Overload: new tasks are turned away while too much waits, and nothing else is."""

from pathlib import Path
from uuid import uuid4

from stepbus.contracts.messages import TaskRequested
from stepbus.orchestrator.bootstrap import running
from stepbus.orchestrator.bootstrap.settings import read_settings
from stepbus.orchestrator.ports import Denied, Done, Outgoing
from stepbus.orchestrator.runtime.coordinator import RoundLimits
from stepbus.orchestrator.runtime.serve import Limits, Serving
from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.world import (
    FORK_AND_JOIN,
    cloud_event,
    completion,
    document,
    memory_bus,
    memory_store,
    request,
    serving,
    types_of,
)

ORDER = TaskRequested(template="fork_and_join")
FEW = Limits(RoundLimits(count=100), backlog_limit=3)


async def submitted(parts: Serving) -> Done | Denied:
    return await parts.desk.submit(ORDER, uuid4().hex, "client/me")


def is_overloaded(answer: Done | Denied) -> bool:
    return isinstance(answer, Denied) and answer.kind == "overloaded" and answer.problems[0].code == "task.overloaded"


async def test_while_too_many_commands_wait_new_tasks_are_turned_away() -> None:
    async with serving(await memory_store(), await memory_bus(), coordinate=False, limits=FEW) as parts:
        await parts.parts["rounds"].end()
        waiting = parts.coordinator.submit_all([request() for _ in range(4)])
        refused = await submitted(parts)
        assert is_overloaded(refused)
        assert isinstance(refused, Denied)
        assert "expected at most 3" in refused.problems[0].message
        assert "found 4 commands" in refused.problems[0].message
        parts.parts["rounds"].begin()
        await waiting
        assert isinstance(await submitted(parts), Done)


async def test_while_too_many_records_wait_to_be_sent_new_tasks_are_turned_away() -> None:
    async with serving(await memory_store(), await memory_bus(), limits=FEW) as parts:
        await parts.parts["relay"].end()
        answers = [await submitted(parts) for _ in range(10)]
        first_refused = next(number for number, answer in enumerate(answers) if is_overloaded(answer))
        assert all(isinstance(answer, Done) for answer in answers[:first_refused])
        assert all(is_overloaded(answer) for answer in answers[first_refused:])
        parts.parts["relay"].begin()

        async def is_taken() -> bool:
            return isinstance(await submitted(parts), Done)

        await wait_until(is_taken)


async def test_what_moves_a_task_on_or_stops_it_is_never_turned_away() -> None:
    store = await memory_store()
    async with serving(store, await memory_bus(), limits=FEW) as parts:
        await parts.parts["relay"].end()
        accepted = [done.id for _ in range(10) if isinstance(done := await submitted(parts), Done)]
        assert is_overloaded(await submitted(parts))
        moved, stopped = accepted[0], accepted[1]
        await parts.coordinator.submit(completion(moved, "begin"))
        assert (await types_of(store, moved)).count("StepCompleted") == 1
        assert isinstance(await parts.desk.cancel(stopped, "", "operator/me"), Done)
        assert isinstance(await parts.desk.register(document(FORK_AND_JOIN), "operator/me"), Done)
        parts.parts["relay"].begin()


async def test_where_no_relay_runs_what_others_have_to_send_is_not_counted() -> None:
    async with serving(await memory_store(), await memory_bus(), coordinate=False, limits=FEW) as parts:
        assert all([isinstance(await submitted(parts), Done) for _ in range(10)])


async def test_the_bus_keeps_what_a_coordinator_cannot_decide_yet() -> None:
    bus, client = await memory_bus("held_back"), await memory_bus("held_back")
    async with serving(await memory_store(), bus, limits=Limits(drain_timeout_s=5)) as parts:
        await parts.parts["rounds"].end()
        bodies = [cloud_event("task.requested", {"template": "fork_and_join"}, f"m-{n}") for n in range(3_000)]
        await client.publish([Outgoing("tasks", f"m-{n}", body) for n, body in enumerate(bodies)])
        await wait_until(lambda: parts.coordinator.backlog >= 1_000)
        left = await client.subscribe("tasks", in_hand=3_000)
        assert len(await left.receive(3_000, 1.0)) == 2_000
        assert parts.coordinator.backlog == 1_000
        await left.close()
        parts.parts["rounds"].begin()


async def test_a_process_turns_tasks_away_at_the_limit_that_its_settings_say(tmp_path: Path) -> None:
    values = {"data": tmp_path, "bus": f"memory:{tmp_path.name}", "backlog_limit": 2}
    async with running(read_settings(None, {}, values).settings, ["coordinator"]) as found:
        parts = found.serving
        await parts.desk.register(document(FORK_AND_JOIN), "operator/test")
        await parts.parts["rounds"].end()
        waiting = parts.coordinator.submit_all([request() for _ in range(3)])
        assert is_overloaded(await submitted(parts))
        parts.parts["rounds"].begin()
        await waiting
