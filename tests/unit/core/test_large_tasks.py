"""Tasks of thousands of steps are decided as small ones are."""

from stepbus.contracts import events as e
from stepbus.orchestrator.testing.given import stories_of
from tests.unit.core.examples import (
    accepted,
    cancel,
    cancelled,
    chain,
    complete,
    completed,
    dispatched,
    fail,
    failed,
    layers,
    many_roots,
    permanent,
    request,
    task_failed,
)

CHAIN = stories_of(chain(6_000))
ROOTS = stories_of(many_roots(1_100))
LAYERS = stories_of(layers(250, 4))


def done(*names: str) -> list[e.Event]:
    return [event for name in names for event in (dispatched(name), completed(name))]


def test_the_middle_of_a_chain_of_six_thousand_releases_the_next_step_alone() -> None:
    history = [accepted(CHAIN), *done(*(f"s{number}" for number in range(2_999))), dispatched("s2999")]

    CHAIN(*history).when(complete("s2999")).then(completed("s2999"), dispatched("s3000"))


def test_the_end_of_a_chain_of_six_thousand_completes_the_task() -> None:
    history = [accepted(CHAIN), *done(*(f"s{number}" for number in range(5_999))), dispatched("s5999")]

    CHAIN(*history).when(complete("s5999")).then(completed("s5999"), e.TaskCompleted()).then_state("complete")


def test_a_failure_at_the_start_of_a_long_chain_fails_the_task() -> None:
    CHAIN(accepted(CHAIN), dispatched("s0")).when(fail("s0", error=permanent())).then(
        failed("s0", error=permanent()), task_failed("s0")
    ).then_state("error", s0="error", s5999="pending")


def test_every_step_of_a_long_chain_is_cancelled_with_it() -> None:
    CHAIN(accepted(CHAIN), dispatched("s0")).when(cancel()).then(
        cancelled("s0"), *(cancelled(f"s{number}", 0) for number in range(1, 6_000)), e.TaskCancelled()
    )


def test_eleven_hundred_roots_are_dispatched_at_once() -> None:
    ROOTS().when(request(ROOTS)).then(accepted(ROOTS), *(dispatched(f"s{number}") for number in range(1_100)))


def test_a_join_waits_for_all_of_eleven_hundred() -> None:
    names = [f"s{number}" for number in range(1_100)]
    history = [accepted(ROOTS), *map(dispatched, names), *map(completed, names[:-2])]

    (
        ROOTS(*history)
        .when(complete("s1099"))
        .then(completed("s1099"))
        .when(complete("s1098"))
        .then(completed("s1098"), dispatched("join"))
    )


def test_a_row_of_four_is_released_by_the_last_of_the_row_before() -> None:
    history = [accepted(LAYERS), *done(*(f"s{row}x{column}" for row in range(100) for column in range(4)))]
    history += [dispatched(f"s100x{column}") for column in range(4)]
    history += [completed(f"s100x{column}") for column in (3, 0, 1)]

    LAYERS(*history).when(complete("s100x2")).then(
        completed("s100x2"), *(dispatched(f"s101x{column}") for column in range(4))
    )
