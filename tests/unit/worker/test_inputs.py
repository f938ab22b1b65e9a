"""What a handler's parameters receive."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from stepbus.contracts.problems import Refused
from stepbus.worker import Context, Inputs, ResultOf, Worker
from stepbus.worker.testing import call


class Cart(BaseModel):
    items: list[str] = Field(min_length=1)
    total: float = 0.0


@dataclass
class Stock:
    left: int


async def given(function: Callable[..., Any], **inputs: Any) -> Any:
    worker = Worker()
    worker.handler("h")(function)
    called = await call(worker, "h", **inputs)
    return called.result


async def refused(function: Callable[..., Any], **inputs: Any) -> dict[str, str]:
    worker = Worker()
    worker.handler("h")(function)
    called = await call(worker, "h", **inputs)
    assert called.error.code == "worker.input_invalid"
    assert not called.error.retryable
    return {problem["pointer"]: problem["code"] for problem in called.error.details["problems"]}


async def test_the_first_parameter_is_the_context_of_the_task() -> None:
    async def handler(cart: Cart) -> Any:
        assert isinstance(cart, Cart)
        return cart.items

    assert await given(handler, context={"items": ["a"]}, results={"other": 1}) == ["a"]


async def test_a_dict_or_no_annotation_receives_the_context_as_it_came() -> None:
    async def annotated(context: dict[str, Any]) -> Any:
        return context

    async def bare(anything):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return anything

    assert await given(annotated, context={"a": {"b": 1}}) == {"a": {"b": 1}}
    assert await given(bare, context={"a": 1}) == {"a": 1}


async def test_a_further_parameter_is_the_result_of_the_step_of_its_name() -> None:
    async def handler(cart: Cart, check_stock: Stock, *, price: int) -> Any:
        return [cart.items, check_stock.left, price]

    results = {"check_stock": {"left": 3}, "price": 5}
    assert await given(handler, context={"items": ["a"]}, results=results) == [["a"], 3, 5]


async def test_a_step_whose_name_no_parameter_can_have_is_named_by_a_mark() -> None:
    async def handler(left: Annotated[Stock, ResultOf("check-stock@eu")], cart: Cart) -> Any:
        return [left.left, cart.items]

    assert await given(handler, context={"items": ["a"]}, results={"check-stock@eu": {"left": 1}}) == [1, ["a"]]


async def test_the_attempt_and_all_inputs_stand_wherever_their_annotations_do() -> None:
    async def handler(context: Context, cart: Cart, inputs: Inputs) -> Any:
        return [context.attempt, cart.total, inputs.results]

    assert await given(handler, context={"items": ["a"], "total": 2}, results={"x": 1}, attempt=4) == [4, 2.0, {"x": 1}]


async def test_a_bare_parameter_named_context_is_the_attempt() -> None:
    async def handler(cart, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return [cart, context.step, context.handler]

    assert await given(handler, context={"a": 1}, step="s") == [{"a": 1}, "s", "h"]


async def test_a_handler_may_ask_for_nothing() -> None:
    async def handler() -> str:
        return "done"

    assert await given(handler) == "done"


async def test_methods_partials_and_callable_objects_can_be_handlers() -> None:
    class Shop:
        async def sell(self, cart: Cart) -> Any:
            return cart.items

        async def __call__(self, cart: Cart, context: Context) -> Any:
            return [cart.items, context.step]

    def priced(price: int, cart: Cart) -> Any:
        return [price, cart.items]

    assert await given(Shop().sell, context={"items": ["a"]}) == ["a"]
    assert await given(Shop(), context={"items": ["a"]}) == [["a"], "step"]
    assert await given(partial(priced, 3), context={"items": ["a"]}) == [3, ["a"]]


async def test_a_default_stands_for_the_result_of_a_step_that_was_left_out() -> None:
    async def handler(_cart: dict[str, Any], discount: int | None = None) -> Any:
        return discount

    assert await given(handler) is None
    assert await given(handler, results={"discount": 7}) == 7


async def test_inputs_that_do_not_fit_are_refused_with_all_problems_and_pointers_to_them() -> None:
    async def handler(_cart: Cart, stock: Stock, missing: int) -> None:
        raise AssertionError((stock, missing))

    found = await refused(handler, context={"items": [], "total": "much"}, results={"stock": {"left": "x/y"}})

    assert found == {
        "/context/items": "worker.input.invalid",
        "/context/total": "worker.input.invalid",
        "/results/stock/left": "worker.input.invalid",
        "/results/missing": "worker.input.missing",
    }


async def test_pointers_escape_what_a_name_holds() -> None:
    async def handler(prices: dict[str, dict[str, int]]) -> None:
        raise AssertionError(prices)

    assert await refused(handler, context={"a/b": {"c~d": "x"}}) == {"/context/a~1b/c~0d": "worker.input.invalid"}


def test_a_handler_that_takes_anything_is_refused() -> None:
    def handler(*_: Any, **__: Any) -> None: ...

    with pytest.raises(TypeError, match=r"\*args and \*\*kwargs"):
        Worker().handler("h")(handler)


@pytest.mark.parametrize("name", ["", "a..b", "a b", "a>", "x" * 129])
def test_a_name_that_no_template_can_have_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        Worker().handler(name)(lambda: None)


def test_a_name_can_be_taken_once() -> None:
    worker = Worker()
    worker.handler("h")(lambda: None)

    with pytest.raises(ValueError, match="found h again"):
        worker.handler("h")(lambda: None)


def test_a_decorated_function_stays_as_it_is() -> None:
    def double(number: int) -> int:
        return 2 * number

    assert Worker().handler("h")(double) is double
