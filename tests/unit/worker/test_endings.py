"""What a handler's return values and exceptions become in its answer."""

import asyncio
import math
import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from stepbus.contracts import codec
from stepbus.contracts.codec import MAX_MESSAGE_BYTES
from stepbus.contracts.envelope import CloudEvent
from stepbus.contracts.messages import StepError, StepRequested
from stepbus.worker import Context, PermanentError, RetryableError, Worker, answer
from stepbus.worker.job import Job
from stepbus.worker.testing import Called, call


class Receipt(BaseModel):
    number: UUID
    at: datetime


@dataclass
class Line:
    sku: str
    price: Decimal


async def returning(value: Any) -> Called:
    worker = Worker()
    worker.handler("h")(lambda: value)
    return await call(worker, "h")


async def raising(error: BaseException, permanent: tuple[type[Exception], ...] = ()) -> StepError:
    async def handler() -> None:
        raise error

    worker = Worker()
    worker.handler("h", permanent=permanent)(handler)
    return (await call(worker, "h")).error


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("returned", "sent"),
    [
        (None, None),
        (True, True),
        ("text", "text"),
        (1.5, 1.5),
        ([1, {"a": None}], [1, {"a": None}]),
        ((1, 2), [1, 2]),
        (date(2024, 5, 6), "2024-05-06"),
        (Line("a", Decimal("1.10")), {"sku": "a", "price": "1.10"}),
        (
            Receipt(number=UUID(int=1), at=datetime(2024, 5, 6, tzinfo=UTC)),
            {"number": "00000000-0000-0000-0000-000000000001", "at": "2024-05-06T00:00:00Z"},
        ),
        (2**53 - 1, 2**53 - 1),
    ],
)
async def test_a_returned_value_is_sent_as_json(returned: Any, sent: Any) -> None:
    assert (await returning(returned)).result == sent


@pytest.mark.parametrize(
    "returned",
    [
        pytest.param(math.nan, id="nan"),
        pytest.param({"a": [math.inf]}, id="infinity"),
        pytest.param(2**53, id="integer past 2^53"),
        pytest.param(2**80, id="integer past 64 bits"),
        pytest.param("\0", id="nul"),
        pytest.param("\ud800", id="lone surrogate"),
        pytest.param(b"\xff", id="bytes"),
        pytest.param(object(), id="object"),
        pytest.param({1: "a", "1": "b"}, id="two keys that become one"),
        pytest.param(nested(70), id="too deep"),
    ],
)
async def test_a_value_that_readers_would_not_agree_on_is_a_permanent_failure(returned: Any) -> None:
    error = (await returning(returned)).error

    assert error.code == "worker.result_invalid"
    assert not error.retryable
    assert error.details["problems"][0]["pointer"].startswith("/result")


async def test_a_circular_value_is_a_permanent_failure() -> None:
    circle: list[Any] = []
    circle.append(circle)

    assert (await returning(circle)).error.code == "worker.result_invalid"


async def test_a_result_that_no_message_can_carry_is_a_permanent_failure() -> None:
    error = (await returning("x" * MAX_MESSAGE_BYTES)).error

    assert error.code == "worker.result_too_large"
    assert not error.retryable


async def test_an_invalid_key_is_named_without_what_makes_it_invalid() -> None:
    error = (await returning({"a\0b": math.nan})).error

    codec.decode(codec.encode(error.model_dump(mode="json")))


async def test_a_permanent_error_says_so() -> None:
    error = await raising(PermanentError("card.declined", "no money", details={"bank": "b"}))

    assert error == StepError(code="card.declined", message="no money", retryable=False, details={"bank": "b"})


@pytest.mark.parametrize(
    ("given", "sent"),
    [(None, None), (1.5, 1.5), (timedelta(minutes=2), 120.0), (-3, 0.0), (math.inf, 30 * 86_400.0), (math.nan, None)],
)
async def test_a_retryable_error_says_when_to_try_again(given: timedelta | float | None, sent: float | None) -> None:
    error = await raising(RetryableError("stock.busy", retry_after=given))

    assert error == StepError(code="stock.busy", retryable=True, retry_after=sent)


async def test_any_other_exception_is_retryable_and_known_by_its_class(caplog: pytest.LogCaptureFixture) -> None:
    error = await raising(ZeroDivisionError("division by zero"))

    assert error == StepError(code="ZeroDivisionError", message="division by zero", retryable=True)
    assert "Traceback" in caplog.text


async def test_an_exception_named_permanent_is_not_retryable() -> None:
    assert not (await raising(UnicodeError("x"), permanent=(KeyError, ValueError))).retryable


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError("own")], ids=repr)
async def test_a_handler_that_tries_to_end_more_than_itself_has_failed(error: BaseException) -> None:
    assert (await raising(error)).code == type(error).__name__


@pytest.mark.parametrize("message", ["\0", "\ud800", "é" * 100_000])
async def test_the_text_of_an_error_can_always_be_sent(message: str) -> None:
    for raised in (ValueError(message), PermanentError(message, message, details=message)):
        error = await raising(raised)
        codec.decode(codec.encode(error.model_dump(mode="json")))


@pytest.mark.parametrize("details", [math.nan, object(), "x" * 100_000], ids=["nan", "object", "large"])
async def test_details_that_cannot_be_sent_are_left_out_and_the_error_is_not(details: Any) -> None:
    error = await raising(PermanentError("c", details=details))

    assert error.code == "c"
    assert "left_out" in error.details


async def test_a_plain_function_runs_in_a_thread_and_carries_the_context() -> None:
    def handler(context: Context) -> Any:
        context.heartbeat_from_thread({"half": True})
        return threading.current_thread() is not threading.main_thread()

    worker = Worker()
    worker.handler("h")(handler)
    called = await call(worker, "h")

    assert called.result is True
    assert called.heartbeats == [{"half": True}]


@pytest.mark.parametrize("error", [StopIteration("x"), SystemExit(1), KeyError("k")], ids=repr)
async def test_whatever_a_plain_function_raises_is_an_answer(error: BaseException) -> None:
    def handler() -> None:
        raise error

    worker = Worker()
    worker.handler("h")(handler)

    assert (await call(worker, "h")).error.retryable


async def test_an_async_handler_is_cancelled_when_its_time_is_over() -> None:
    cancelled = asyncio.Event()

    async def handler() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    worker = Worker()
    worker.handler("h")(handler)
    error = (await call(worker, "h", timeout_s=0.05)).error

    assert error.code == "worker.timeout"
    assert error.retryable
    assert cancelled.is_set()


async def test_a_plain_function_can_see_that_its_time_is_over() -> None:
    ended = threading.Event()

    def handler(context: Context) -> None:
        while not context.is_cancelled:
            pass
        ended.set()

    worker = Worker()
    worker.handler("h")(handler)
    error = (await call(worker, "h", timeout_s=0.05)).error

    assert error.code == "worker.timeout"
    assert await asyncio.to_thread(ended.wait, 10)


async def test_a_timeout_of_the_handlers_own_is_an_error_of_its_own() -> None:
    assert (await raising(TimeoutError("of the bank"))).code == "TimeoutError"


async def test_a_heartbeat_starts_the_time_of_the_attempt_anew() -> None:
    async def handler(context: Context) -> Any:
        first = context.deadline
        await asyncio.to_thread(lambda: None)
        await context.heartbeat({"percent": 50})
        return context.deadline > first

    worker = Worker()
    worker.handler("h")(handler)
    called = await call(worker, "h", timeout_s=1.0)

    assert called.result is True
    assert called.heartbeats == [{"percent": 50}]


async def test_progress_that_cannot_be_sent_is_left_out_of_the_heartbeat() -> None:
    async def handler(context: Context) -> None:
        await context.heartbeat(math.nan)

    worker = Worker()
    worker.handler("h")(handler)

    assert (await call(worker, "h")).heartbeats == [None]


async def test_a_handler_finds_what_the_workers_lifespan_opened() -> None:
    worker = Worker()
    worker.handler("h")(lambda context: context.state)

    assert (await call(worker, "h", state="pool")).result == "pool"


async def test_called_says_what_came_instead() -> None:
    with pytest.raises(AssertionError, match="expected the handler to fail"):
        _ = (await returning(1)).error
    with pytest.raises(AssertionError, match="expected a result"):
        _ = (await returning(math.nan)).result


@pytest.mark.parametrize("text", ["\x01", "é", "\U0001f600"], ids=["control", "accent", "emoji"])
@pytest.mark.parametrize("size", [43_000, 60_000, 130_000, 240_000, 260_000])
async def test_whatever_the_size_of_a_result_its_answer_is_within_the_limit(text: str, size: int) -> None:
    called = await returning(text * (size // len(text.encode())))
    request = StepRequested.model_validate(
        {
            "task_id": UUID(int=1),
            "step": "s" * 128,
            "attempt": 100,
            "handler": "h",
            "inputs": {"context": {}, "results": {}},
            "timeout_ms": 1,
            "idempotency_key": "k",
            "replyto": "r",
            "token": "t" * 256,
        }
    )
    long = "é" * 1024
    envelope = CloudEvent(id=long, source=long, type="t", tenant=long, correlationid=long, traceparent=long)

    message = answer.outgoing(Job(request, envelope, "results.0"), "/" + long[1:], called.ending)

    assert len(message.body) <= MAX_MESSAGE_BYTES
    data = codec.decode(message.body)["data"]
    assert "result" in data or data["error"]["code"] == "worker.result_too_large"
