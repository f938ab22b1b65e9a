"""A template is not registered, unless forced, if nobody serves it or if open tasks can't live with what it changes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from stepbus.contracts.messages import StepError, TaskRequested
from stepbus.contracts.template import from_mapping
from stepbus.orchestrator.core.commands import CompleteStep, FailStep
from stepbus.orchestrator.ports import Denied, Done
from stepbus.orchestrator.runtime.intents import TaskIntent
from stepbus.orchestrator.runtime.serve import Serving
from tests.support.world import CAUSE, cloud_event, delivery, memory_bus, memory_store, now_ms, serving

STEP = {"name": "check", "handler": "orders.check"}
TEMPLATE: dict[str, Any] = {"name": "order", "version": "1.0.0", "steps": [STEP]}
SERVED = {"handler": "orders.check", "contract": 1}
NARROWER = TEMPLATE | {"version": "1.1.0", "context_schema": {"required": ["id"]}}


@pytest.fixture
async def parts() -> AsyncIterator[Serving]:
    async with serving(await memory_store(), await memory_bus(), coordinate=False) as parts:
        yield parts


async def announce(parts: Serving, *handlers: Any, worker: str = "w-1") -> None:
    body = cloud_event("worker.announced", {"worker": worker, "handlers": handlers})
    assert (await parts.intake.apply(delivery("tasks", body))).rejection is None


async def registered(parts: Serving, template: Any, *, force: bool = False) -> Done | Denied:
    return await parts.desk.register(from_mapping(template).canonical(), "operator/me", force=force)


async def refused(parts: Serving, template: Any) -> list[tuple[str, str]]:
    answer = await registered(parts, template)
    assert isinstance(answer, Denied)
    assert answer.kind == "conflict"
    return [(problem.code, problem.pointer) for problem in answer.problems]


async def test_where_no_worker_says_what_it_serves_all_is_registered(parts: Serving) -> None:
    assert isinstance(await registered(parts, TEMPLATE), Done)


async def test_what_nobody_serves_is_refused_once_for_each_handler_unless_it_is_forced(parts: Serving) -> None:
    template = TEMPLATE | {"steps": [STEP, {"name": "pay"}, {"name": "again", "handler": "default.pay"}]}
    await announce(parts, SERVED)

    assert await refused(parts, template) == [("template.unserved", "/steps/1/handler")]
    assert isinstance(await registered(parts, template, force=True), Done)
    assert isinstance(await registered(parts, template), Done), "it is there already"


async def test_a_worker_that_has_gone_for_good_serves_nothing_and_demands_nothing(parts: Serving) -> None:
    await announce(parts, SERVED | {"handler": "orders.pay"})
    assert await refused(parts, TEMPLATE) == [("template.unserved", "/steps/0/handler")]

    await announce(parts)
    assert isinstance(await registered(parts, TEMPLATE), Done)


async def test_a_worker_of_another_contract_does_not_serve(parts: Serving) -> None:
    await announce(parts, SERVED | {"contract": 2})
    answer = await registered(parts, TEMPLATE)
    assert isinstance(answer, Denied)
    assert "w-1 understands version 2 of step.requested, not 1" in answer.problems[0].message

    await announce(parts, SERVED, worker="w-2")
    assert isinstance(await registered(parts, TEMPLATE), Done)


async def test_a_worker_that_needs_other_inputs_does_not_serve(parts: Serving) -> None:
    needs = {"properties": {"context": {"required": ["id"]}}}
    await announce(parts, SERVED | {"input_schema": needs})
    answer = await registered(parts, TEMPLATE | {"context_schema": {"properties": {"id": {"type": "string"}}}})
    assert isinstance(answer, Denied)
    assert "w-1 needs other inputs: expected the task's context to be what is needed" in answer.problems[0].message

    assert isinstance(await registered(parts, TEMPLATE | {"context_schema": {"required": ["id"]}}), Done)


@pytest.mark.parametrize("part", ["result", "error"])
async def test_a_worker_that_gives_what_the_step_does_not_allow_does_not_serve(parts: Serving, part: str) -> None:
    await announce(parts, SERVED | {f"{part}_schema": {"type": "object"}})
    template = TEMPLATE | {"steps": [STEP | {f"{part}_schema": {"required": ["code"]}}]}
    answer = await registered(parts, template)
    assert isinstance(answer, Denied)
    assert f"w-1 may give the {part} {{}}, which the step does not allow" in answer.problems[0].message

    await announce(parts, SERVED | {f"{part}_schema": {"type": "object", "required": ["code", "why"]}})
    assert isinstance(await registered(parts, template), Done)


async def submitted(parts: Serving, template: Any, request_id: str) -> Any:
    request = TaskRequested(template=template["name"], version=template["version"])
    done = await parts.desk.submit(request, request_id, "client/me")
    assert isinstance(done, Done)
    return done.id


async def test_what_breaks_with_open_tasks_is_refused_until_they_have_ended(parts: Serving) -> None:
    await registered(parts, TEMPLATE)
    first, second = [await submitted(parts, TEMPLATE, name) for name in ("r-1", "r-2")]

    assert await refused(parts, NARROWER) == [("template.breaks_open_tasks", "/context_schema")]
    await parts.coordinator.submit(TaskIntent(CompleteStep(first, "check", 1, None, now_ms()), CAUSE))
    answer = await registered(parts, NARROWER)
    assert isinstance(answer, Denied)
    assert answer.problems[0].message == (
        "expected a change that 1 open task of version 1.0.0 can live with, "
        "found schema.declared, a schema must be satisfied where there was none"
    )
    await parts.desk.cancel(second, "", "operator/me")
    assert isinstance(await registered(parts, NARROWER), Done)


async def test_it_is_registered_over_open_tasks_if_it_is_forced(parts: Serving) -> None:
    await registered(parts, TEMPLATE)
    await submitted(parts, TEMPLATE, "r-1")

    assert isinstance(await registered(parts, NARROWER, force=True), Done)


async def test_a_task_that_failed_is_not_open_until_it_is_reopened(parts: Serving) -> None:
    await registered(parts, TEMPLATE)
    task_id = await submitted(parts, TEMPLATE, "r-1")
    error = StepError(code="no", retryable=False)
    await parts.coordinator.submit(TaskIntent(FailStep(task_id, "check", 1, error, now_ms()), CAUSE))
    assert isinstance(await registered(parts, NARROWER), Done)

    await parts.desk.retry(task_id, "check", "", "operator/me")
    assert await refused(parts, NARROWER | {"version": "1.2.0"}) == [("template.breaks_open_tasks", "/context_schema")]
    await parts.desk.resolve_task(task_id, "", "operator/me")
    assert isinstance(await registered(parts, NARROWER | {"version": "1.2.0"}), Done)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1.1.0", "steps": [STEP | {"timeout": "1s", "retry": {"max_attempts": 1}}], "timeout": "1h"},
        {"version": "1.1.0", "description": "new", "steps": [STEP, {"name": "more"}]},
        {"version": "0.9.0", "context_schema": {"required": ["id"]}},
        {"version": "1.1.0", "name": "another", "context_schema": {"required": ["id"]}},
    ],
)
async def test_what_open_tasks_do_not_notice_is_registered(parts: Serving, change: Any) -> None:
    await registered(parts, TEMPLATE)
    await submitted(parts, TEMPLATE, "r-1")

    assert isinstance(await registered(parts, TEMPLATE | change), Done)
