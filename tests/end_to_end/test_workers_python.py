"""A Python worker and the jobs it is sent, on every bus."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from pydantic import BaseModel

from stepbus.orchestrator.ports import Bus, NotSent
from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.worker import Context, PermanentError, RetryableError, Worker
from stepbus.worker.buses import open_bus
from tests.support.jobs import Coordinator, coordinator_on


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, unique_name: str) -> AsyncIterator[Bus]:
    url = f"memory:{unique_name}" if request.param == "memory" else request.getfixturevalue("nats_url")
    opened = await open_bus(url, unique_name)
    yield opened
    await opened.close()


@pytest.fixture
async def coordinator(bus: Bus) -> AsyncIterator[Coordinator]:
    async with coordinator_on(bus) as coordinator:
        yield coordinator


def worker_of(bus: Bus, *handlers: Callable[..., Any], **options: Any) -> Worker:
    """A worker that serves each function under `python.<its name>`."""
    worker = Worker(bus=bus, **options)
    for handler in handlers:
        worker.handler(f"python.{handler.__name__}", queue="python")(handler)
    return worker


class Gate:
    """A handler that waits until the test opens it, and says how many are inside."""

    def __init__(self) -> None:
        self.entered = 0
        self.inside = 0
        self.most_inside = 0
        self._open = asyncio.Event()

    def open(self) -> None:
        self._open.set()

    async def gate(self, context: Context) -> str:
        self.entered += 1
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            await self._open.wait()
        finally:
            self.inside -= 1
        return context.step


async def test_a_job_is_answered_with_what_it_asks_to_be_echoed_and_is_gone(coordinator: Coordinator) -> None:
    async def add(numbers: dict[str, int], check: int, context: Context) -> dict[str, Any]:
        return {"sum": numbers["a"] + check, "key": context.idempotency_key, "tenant": context.envelope.tenant}

    worker = worker_of(coordinator.bus, add, name="adder")
    async with worker:
        task = await coordinator.send("python.add", "python", context={"a": 1}, results={"check": 2})
        event = await coordinator.answer(task)

    assert event["data"] == {
        "task_id": task,
        "step": "step",
        "attempt": 1,
        "token": f"token-of-{task}",
        "worker": "adder",
        "result": {"sum": 3, "key": f"{task}/step", "tenant": "acme"},
    }
    assert (event["type"], event["source"], event["partitionkey"]) == ("step.completed", "/stepbus/worker/adder", task)
    assert (event["correlationid"], event["tenant"]) == ("correlation", "acme")
    assert event["traceparent"].startswith("00-0af76")
    assert await coordinator.left_over("python") == 0
    assert (worker.stats.received, worker.stats.completed, worker.stats.running) == (1, 1, 0)


async def test_inputs_and_result_are_typed(coordinator: Coordinator) -> None:
    class Cart(BaseModel):
        items: list[str]

    class Counted(BaseModel):
        count: int

    async def count(cart: Cart) -> Counted:
        return Counted(count=len(cart.items))

    async with worker_of(coordinator.bus, count):
        good = await coordinator.send("python.count", "python", context={"items": ["a", "b"]})
        bad = await coordinator.send("python.count", "python", context={"items": 5})

        assert await coordinator.result(good) == {"count": 2}
        error = await coordinator.error(bad)

    assert (error["code"], error["retryable"]) == ("worker.input_invalid", False)
    assert error["details"]["problems"][0]["pointer"] == "/context/items"


async def test_a_failure_says_whether_and_when_to_try_again(coordinator: Coordinator) -> None:
    async def retryable() -> None:
        raise RetryableError("stock.busy", "try later", retry_after=timedelta(seconds=2), details={"sku": "a"})

    def permanent() -> None:
        raise PermanentError("card.declined", "no money")

    async def unexpected() -> None:
        raise KeyError("items")

    worker = worker_of(coordinator.bus, retryable, permanent, unexpected)
    async with worker:
        tasks = [
            await coordinator.send(f"python.{name}", "python") for name in ("retryable", "permanent", "unexpected")
        ]
        errors = [await coordinator.error(task) for task in tasks]

    assert errors == [
        {"code": "stock.busy", "message": "try later", "retryable": True, "retry_after": 2.0, "details": {"sku": "a"}},
        {"code": "card.declined", "message": "no money", "retryable": False, "retry_after": None, "details": None},
        {"code": "KeyError", "message": "'items'", "retryable": True, "retry_after": None, "details": None},
    ]
    assert worker.stats.failed == 3
    assert await coordinator.left_over("python") == 0


@pytest.mark.parametrize(
    ("result", "code"), [(math.nan, "worker.result_invalid"), ("x" * 300_000, "worker.result_too_large")]
)
async def test_a_result_that_no_message_can_carry_fails_for_good(
    coordinator: Coordinator, result: Any, code: str
) -> None:
    async def give() -> Any:
        return result

    async with worker_of(coordinator.bus, give):
        error = await coordinator.error(await coordinator.send("python.give", "python"))

    assert (error["code"], error["retryable"]) == (code, False)
    assert await coordinator.left_over("python") == 0


async def test_an_attempt_that_takes_too_long_is_ended(coordinator: Coordinator) -> None:
    gate = Gate()
    worker = worker_of(coordinator.bus, gate.gate)
    async with worker:
        error = await coordinator.error(await coordinator.send("python.gate", "python", timeout_ms=100))

    assert (error["code"], error["retryable"]) == ("worker.timeout", True)
    assert gate.inside == 0
    assert worker.stats.timed_out == 1


async def test_heartbeats_keep_an_attempt_alive_beyond_its_timeout(coordinator: Coordinator) -> None:
    async def long(context: Context) -> int:
        ends = [context.deadline]
        while len(ends) < 4:
            await wait_until(lambda: context.time_left_s < context.timeout_s / 2)
            await context.heartbeat({"beat": len(ends)})
            ends.append(context.deadline)
        return sum(later > earlier for earlier, later in pairwise(ends))

    async with worker_of(coordinator.bus, long) as worker:
        task = await coordinator.send("python.long", "python", timeout_ms=1_000)
        assert await coordinator.result(task) == 3

    beats = coordinator.answers(task, "step.heartbeat")
    assert [beat["data"]["progress"] for beat in beats] == [{"beat": 1}, {"beat": 2}, {"beat": 3}]
    assert beats[0]["data"]["token"] == f"token-of-{task}"
    assert worker.stats.heartbeats == 3


async def test_plain_functions_run_side_by_side_in_threads(coordinator: Coordinator) -> None:
    barrier = threading.Barrier(2, timeout=10)

    def meet() -> bool:
        barrier.wait()
        return threading.current_thread() is not threading.main_thread()

    async with worker_of(coordinator.bus, meet, concurrency=2):
        tasks = [await coordinator.send("python.meet", "python") for _ in range(2)]
        assert [await coordinator.result(task) for task in tasks] == [True, True]


async def test_no_more_handlers_run_at_once_than_allowed(coordinator: Coordinator) -> None:
    gate = Gate()
    worker = worker_of(coordinator.bus, gate.gate, concurrency=3)
    tasks = [await coordinator.send("python.gate", "python") for _ in range(10)]
    async with worker:
        await wait_until(lambda: gate.inside == 3)
        assert worker.stats.received == 3
        gate.open()
        for task in tasks:
            await coordinator.result(task)

    assert (gate.entered, gate.most_inside) == (10, 3)


async def test_one_bound_holds_for_all_queues_together(coordinator: Coordinator) -> None:
    gate = Gate()
    worker = Worker(bus=coordinator.bus, concurrency=2)
    for queue in ("one", "two", "three"):
        worker.handler(f"python.{queue}")(gate.gate)
    tasks = [await coordinator.send(f"python.{queue}") for queue in ("one", "two", "three") for _ in range(3)]
    async with worker:
        await wait_until(lambda: gate.inside == 2)
        gate.open()
        for task in tasks:
            await coordinator.result(task)

    assert (gate.entered, gate.most_inside) == (9, 2)


async def test_a_graceful_stop_finishes_what_runs_and_gives_back_what_does_not(coordinator: Coordinator) -> None:
    gate = Gate()
    first = worker_of(coordinator.bus, gate.gate, name="first", concurrency=1)
    serving = asyncio.create_task(first.serve())
    running = await coordinator.send("python.gate", "python")
    await wait_until(lambda: gate.inside == 1)
    waiting = await coordinator.send("python.gate", "python")
    first.request_stop()
    async with worker_of(coordinator.bus, gate.gate, name="second"):
        await wait_until(lambda: gate.inside == 2)
        gate.open()
        assert (await coordinator.answer(running))["data"]["worker"] == "first"
        assert (await coordinator.answer(waiting))["data"]["worker"] == "second"
        await serving

    assert gate.entered == 2
    assert await coordinator.left_over("python") == 0


async def test_jobs_that_wait_for_a_slot_are_given_back_when_the_worker_stops(coordinator: Coordinator) -> None:
    gate = Gate()
    worker = Worker(bus=coordinator.bus, concurrency=1, grace=0)
    for queue in ("one", "two"):
        worker.handler(f"python.{queue}")(gate.gate)
    async with worker:
        tasks = [await coordinator.send(f"python.{queue}") for queue in ("one", "two")]
        await wait_until(lambda: worker.stats.received == 2)

    assert worker.stats.given_back == 2
    assert [await coordinator.left_over(f"python.{queue}") for queue in ("one", "two")] == [1, 1]
    assert not any(coordinator.answers(task) for task in tasks)


async def test_what_outlasts_the_grace_is_given_back_and_runs_elsewhere(coordinator: Coordinator) -> None:
    stuck, free = Gate(), Gate()
    free.open()
    first = worker_of(coordinator.bus, stuck.gate, name="first", grace=timedelta(milliseconds=50))
    async with first:
        task = await coordinator.send("python.gate", "python")
        await wait_until(lambda: stuck.inside == 1)

    assert (stuck.inside, first.stats.given_back) == (0, 1)
    async with worker_of(coordinator.bus, free.gate, name="second"):
        assert (await coordinator.answer(task))["data"]["worker"] == "second"
    assert len(coordinator.answers(task)) == 1


async def test_an_attempt_delivered_twice_at_once_runs_once(coordinator: Coordinator) -> None:
    gate = Gate()
    worker = worker_of(coordinator.bus, gate.gate)
    async with worker:
        task = await coordinator.send("python.gate", "python")
        await coordinator.send("python.gate", "python", task_id=task)
        await wait_until(lambda: worker.stats.duplicates == 1)
        gate.open()
        await coordinator.result(task)

    assert gate.entered == 1
    assert len(coordinator.answers(task)) == 1
    assert await coordinator.left_over("python") == 0


async def test_an_attempt_delivered_again_after_its_answer_runs_again(coordinator: Coordinator) -> None:
    gate = Gate()
    gate.open()
    async with worker_of(coordinator.bus, gate.gate):
        task = await coordinator.send("python.gate", "python")
        await coordinator.result(task)
        await coordinator.send("python.gate", "python", task_id=task)
        await wait_until(lambda: len(coordinator.answers(task)) == 2)

    assert gate.entered == 2


async def test_two_attempts_of_a_step_run_side_by_side(coordinator: Coordinator) -> None:
    gate = Gate()
    async with worker_of(coordinator.bus, gate.gate):
        task = await coordinator.send("python.gate", "python", attempt=1)
        await coordinator.send("python.gate", "python", attempt=2, task_id=task)
        await wait_until(lambda: gate.inside == 2)
        gate.open()
        await wait_until(lambda: {answer["data"]["attempt"] for answer in coordinator.answers(task)} == {1, 2})


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (b"{", "json.malformed", ""),
        (b'{"specversion":"1.0","id":"1","source":"s","type":"step.completed"}', "message.unknown_type", "/type"),
        (b'{"specversion":"1.0","id":"1","source":"s","type":"step.requested","data":{}}', "message.missing", "/data/"),
    ],
)
async def test_a_message_that_is_no_job_goes_to_quarantine_and_is_gone(
    coordinator: Coordinator, body: bytes, code: str, pointer: str
) -> None:
    gate = Gate()
    gate.open()
    worker = worker_of(coordinator.bus, gate.gate)
    async with worker:
        await coordinator.send_body("python", body)
        await coordinator.result(await coordinator.send("python.gate", "python"))
        await wait_until(lambda: coordinator.quarantined)

    (entry,) = coordinator.quarantined
    assert entry["type"] == "message.quarantined"
    assert (entry["data"]["channel"], entry["data"]["code"]) == ("jobs.python", code)
    assert entry["data"]["pointer"].startswith(pointer)
    assert worker.stats.quarantined == 1
    assert await coordinator.left_over("python") == 0


async def test_a_job_that_wants_its_answer_elsewhere_goes_to_quarantine(coordinator: Coordinator) -> None:
    async with worker_of(coordinator.bus, Gate().gate):
        await coordinator.send("python.gate", "python", replyto=coordinator.bus.address("jobs.python"))
        await wait_until(lambda: coordinator.quarantined)

    assert coordinator.quarantined[0]["data"]["code"] == "message.replyto"


async def test_a_job_for_a_handler_of_another_worker_on_the_queue_is_left_to_it(coordinator: Coordinator) -> None:
    async def one() -> str:
        return "one"

    async def two() -> str:
        return "two"

    first = worker_of(coordinator.bus, one)
    async with first:
        task = await coordinator.send("python.two", "python")
        await wait_until(lambda: first.stats.given_back == 1)
        async with worker_of(coordinator.bus, two):
            assert await coordinator.result(task) == "two"


@pytest.mark.parametrize(("handler", "code"), [("gate", "worker.redelivered"), ("unknown", "worker.handler_unknown")])
async def test_a_job_that_comes_back_again_and_again_is_answered_as_failed(
    coordinator: Coordinator, handler: str, code: str
) -> None:
    task = await coordinator.send(f"python.{handler}", "python")
    assert await coordinator.left_over("python") == 1

    async with worker_of(coordinator.bus, Gate().gate, max_deliveries=1):
        error = await coordinator.error(task)

    assert (error["code"], error["retryable"]) == (code, True)
    assert await coordinator.left_over("python") == 0


async def test_what_a_newer_coordinator_adds_to_a_job_is_let_be(coordinator: Coordinator) -> None:
    gate = Gate()
    gate.open()
    async with worker_of(coordinator.bus, gate.gate):
        assert await coordinator.result(await coordinator.send("python.gate", "python", novelty={"a": 1})) == "step"


async def test_a_worker_finds_its_bus_by_url_and_shares_what_its_lifespan_opens(
    coordinator: Coordinator, request: pytest.FixtureRequest, unique_name: str
) -> None:
    life: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[str]:
        life.append("opened")
        yield "pool"
        life.append("closed")

    on_memory = type(coordinator.bus).__name__ == "MemoryBus"
    url = f"memory:{unique_name}" if on_memory else request.getfixturevalue("nats_url")
    worker = Worker(url, prefix=unique_name, lifespan=lifespan)
    worker.handler("python.state", queue="python")(lambda context: context.state)
    serving = asyncio.create_task(worker.serve())

    assert await coordinator.result(await coordinator.send("python.state", "python")) == "pool"
    assert life == ["opened"]
    worker.request_stop()
    await serving

    assert life == ["opened", "closed"]


async def test_a_second_request_to_stop_does_not_wait_for_the_handlers(coordinator: Coordinator) -> None:
    gate = Gate()
    worker = worker_of(coordinator.bus, gate.gate, grace=3600)
    serving = asyncio.create_task(worker.serve())
    await coordinator.send("python.gate", "python")
    await wait_until(lambda: gate.inside == 1)

    worker.request_stop()
    worker.request_stop()
    await asyncio.wait_for(serving, 10)

    assert await coordinator.left_over("python") == 1


async def test_a_worker_can_be_started_again(coordinator: Coordinator) -> None:
    gate = Gate()
    gate.open()
    worker = worker_of(coordinator.bus, gate.gate)
    for _ in range(2):
        async with worker:
            assert await coordinator.result(await coordinator.send("python.gate", "python")) == "step"

    assert worker.stats.completed == 2


async def test_an_answer_is_sent_again_until_it_is_confirmed_and_only_then_is_the_job_gone(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = coordinator.bus
    left: list[int] = []
    publish: Callable[[Any], Awaitable[Any]] = bus.publish

    async def unsure(messages: Any) -> Any:
        answers = await publish(messages)
        if messages[0].channel != "tasks" and len(left) < 3:
            left.append(await coordinator.left_over("python"))
            return [NotSent("no confirm") for _ in answers]
        return answers

    gate = Gate()
    gate.open()
    worker = worker_of(bus, gate.gate)
    task = await coordinator.send("python.gate", "python")
    monkeypatch.setattr(bus, "publish", unsure)
    async with worker:
        await coordinator.result(task)
        await wait_until(lambda: worker.stats.completed == 1)

    assert worker.stats.retried == 3
    assert len({answer["id"] for answer in coordinator.answers(task)}) == 1
    assert await coordinator.left_over("python") == 0
