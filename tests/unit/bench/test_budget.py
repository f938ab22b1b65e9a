"""What does not fit into the time is cut, and said to be."""

from dataclasses import dataclass

import pytest

from stepbus.orchestrator.bench.budget import Budget


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budget(clock: Clock) -> Budget:
    return Budget(50.0, reserve_s=10.0, clock=clock)


def test_time_passes(budget: Budget, clock: Clock) -> None:
    assert (budget.left_s, budget.until_end_s) == (40.0, 50.0)

    clock.now += 45

    assert (budget.left_s, budget.until_end_s) == (-5.0, 5.0)

    clock.now += 45

    assert budget.until_end_s == 0.0


@pytest.mark.parametrize(
    ("task_s", "bursts", "note"),
    [
        (0.001, (4, 500), []),  # 5 runs of 4 bursts of 500 tasks take 10 s
        (0.008, (2, 500), ["cut to 2 of 4 bursts a run, to end in time"]),
        (0.08, (1, 100), ["cut to bursts of 100 of 500 tasks, to end in time"]),
        (80.0, (1, 1), ["cut to bursts of 1 of 500 tasks, to end in time"]),
    ],
)
def test_bursts_are_fewer_and_at_last_smaller(
    task_s: float, bursts: tuple[int, int], note: list[str], budget: Budget
) -> None:
    assert budget.bursts_of(planned=4, tasks=500, runs=5, task_s=task_s) == bursts
    assert budget.notes == note


def test_the_first_run_is_made_however_late_it_is(budget: Budget, clock: Clock) -> None:
    clock.now += 100

    assert budget.allows(0.0, done=0, planned=5)
    assert not budget.allows(1.0, done=1, planned=5)
    assert budget.notes == ["cut to 1 of 5 runs, to end in time"]


def test_a_run_is_made_if_one_as_long_as_the_longest_fits(budget: Budget, clock: Clock) -> None:
    clock.now += 35

    assert budget.allows(5.0, done=2, planned=5)
    assert not budget.allows(5.1, done=2, planned=5)
