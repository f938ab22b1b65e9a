"""When a failed attempt is tried again: the policy's delay, spread by a hash that a replay gives again."""

from typing import Any
from uuid import UUID

import pytest

from stepbus.contracts.template import RetryPolicy
from stepbus.orchestrator.core.retry import delay_ms
from stepbus.orchestrator.testing.given import TASK_ID


def delays(attempts: int = 5, **policy: Any) -> list[int]:
    rules = RetryPolicy(**{"jitter": 0.0, "initial": 100, "max": 1_000, **policy})
    return [delay_ms(rules, TASK_ID, "a", attempt) for attempt in range(1, attempts + 1)]


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        ("fixed", [100, 100, 100, 100, 100]),
        ("linear", [100, 200, 300, 400, 500]),
        ("exponential", [100, 200, 400, 800, 1_000]),
    ],
)
def test_the_delay_follows_the_policy_up_to_its_longest(backoff: str, expected: list[int]) -> None:
    assert delays(backoff=backoff) == expected


def test_a_factor_need_not_be_whole() -> None:
    assert delays(backoff="exponential", factor=1.5) == [100, 150, 225, 338, 506]


def test_a_linear_delay_is_capped_as_well() -> None:
    assert delays(12, backoff="linear")[-3:] == [1_000, 1_000, 1_000]


def test_the_steepest_policy_has_its_longest_delay_after_the_last_attempt_too() -> None:
    year = 365 * 86_400_000

    assert delays(100, factor=1_000.0, initial=year, max=year) == [year] * 100


def test_no_delay_stays_none() -> None:
    assert delays(100, initial=0, factor=1_000.0) == [0] * 100


def test_the_workers_word_stands_instead_of_the_policy_and_is_not_spread() -> None:
    policy = RetryPolicy(jitter=1.0, max=1_000)

    assert delay_ms(policy, TASK_ID, "a", 1, retry_after_s=7.0015) == 7_002
    assert delay_ms(policy, TASK_ID, "a", 1, retry_after_s=0) == 0


def test_jitter_is_the_same_for_the_same_attempt_and_differs_between_attempts_steps_and_tasks() -> None:
    policy = RetryPolicy(backoff="fixed", initial=1_000_000, max=1_000_000, jitter=0.5)
    other = UUID(int=TASK_ID.int + 1)

    places = [(TASK_ID, "a", 1), (TASK_ID, "a", 2), (TASK_ID, "b", 1), (other, "a", 1)]
    first = [delay_ms(policy, *place) for place in places]

    assert first == [delay_ms(policy, *place) for place in places]
    assert len(set(first)) == len(places)


def test_jitter_stays_in_its_bounds_and_uses_all_of_them() -> None:
    policy = RetryPolicy(backoff="fixed", initial=10_000, max=10_000, jitter=0.2)

    found = [delay_ms(policy, TASK_ID, f"step-{number}", 1) for number in range(1_000)]

    assert 8_000 <= min(found) < 8_050
    assert 11_950 < max(found) <= 12_000
    assert 9_900 < sum(found) / len(found) < 10_100


def test_full_jitter_never_gives_a_time_in_the_past() -> None:
    policy = RetryPolicy(backoff="fixed", initial=1, max=1, jitter=1.0)

    assert {delay_ms(policy, TASK_ID, f"step-{number}", 1) for number in range(100)} <= {0, 1, 2}


def test_jitter_is_the_same_on_every_machine() -> None:
    policy = RetryPolicy(backoff="fixed", initial=1_000_000, max=1_000_000, jitter=1.0)

    assert delay_ms(policy, UUID(int=1), "a", 1) == 514_630
