"""A failure says what it is, so that the template can decide what follows."""

from typing import Any

from stepbus.orchestrator.testing.worker_kit.bench import Bench
from stepbus.orchestrator.testing.worker_kit.heard import Heard
from stepbus.orchestrator.testing.worker_kit.rules.rule import Rules
from stepbus.orchestrator.testing.worker_kit.verdict import Broken, demand, demand_same, shown

RULES = Rules()


@RULES.rule("failure.retryable", "A failure that another attempt may mend is `retryable`, with its code", "retryable")
async def _retryable(bench: Bench) -> None:
    await _demand_error(bench, "retryable")


@RULES.rule("failure.permanent", "A failure that no attempt can mend is not `retryable`, with its code", "permanent")
async def _permanent(bench: Bench) -> None:
    await _demand_error(bench, "permanent")


@RULES.rule("failure.retry_after", "The delay that a handler asks for is kept, in seconds", "retry_after")
async def _retry_after(bench: Bench) -> None:
    await _demand_error(bench, "retry_after")


@RULES.rule("failure.refused", "Inputs that the handler can't take are a permanent failure, with its code", "refused")
async def _refused(bench: Bench) -> None:
    await _demand_error(bench, "refused")


@RULES.rule(
    "failure.large_result",
    "A result over 262,144 bytes is answered as a permanent failure: neither sent nor kept back in silence",
    "large_result",
)
async def _large_result(bench: Bench) -> None:
    await _demand_error(bench, "large_result")


async def _demand_error(bench: Bench, name: str) -> None:
    scenario = bench.scenario(name)
    answer = await _failed(bench, name)
    for key, value in scenario.error.model_dump(exclude_unset=True).items() if scenario.error else ():
        found = answer.error.get(key, True if key == "retryable" else None)
        if isinstance(value, tuple | list):
            demand(found in value, f"{key} of {shown(list(value))}", shown(found))
        else:
            demand_same(key, value, found)
    problem = next(bench.contract.errors.problems(_given(answer.error), "/error"), None)
    if problem is not None:
        raise Broken("an error that its schema takes", f"at {problem.pointer}: {problem.message}")


async def _failed(bench: Bench, name: str) -> Heard:
    answer = await bench.ending(await bench.send(name))
    if answer.type != "step.failed":
        raise Broken("step.failed", f"step.completed with {len(answer.body):,} bytes")
    return answer


def _given(error: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in error.items() if value is not None}
