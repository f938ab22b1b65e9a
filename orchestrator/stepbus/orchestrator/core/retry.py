"""When a failed attempt is tried again."""

from hashlib import blake2b
from uuid import UUID

from stepbus.contracts.template import RetryPolicy


def delay_ms(policy: RetryPolicy, task_id: UUID, step: str, attempt: int, retry_after_s: float | None = None) -> int:
    """Give the delay between the failure of this attempt and the next one.

    Guarantee: the worker's `retry_after_s` stands if it is given. Otherwise the policy's delay, capped by its `max`, is
    spread by up to `jitter` of itself in either direction; the spread is a hash of (task, step, attempt), so that a
    replay decides the same.
    """
    if retry_after_s is not None:
        return round(retry_after_s * 1000)
    match policy.backoff:
        case "fixed":
            delay = float(policy.initial)
        case "linear":
            delay = float(policy.initial * attempt)
        case "exponential":
            delay = policy.initial * _power(policy.factor, attempt - 1, policy.max / max(policy.initial, 1))
    spread = 1 + policy.jitter * (2 * _fraction(task_id, step, attempt) - 1)
    return round(min(delay, policy.max) * spread)


def _power(factor: float, exponent: int, enough: float) -> float:
    """Give factor ** exponent, or something above `enough` where the power would leave the range of a float."""
    try:
        return factor**exponent
    except OverflowError:
        return enough + 1


def _fraction(task_id: UUID, step: str, attempt: int) -> float:
    """Give a number in [0, 1) that looks random and is always the same for these three."""
    digest = blake2b(f"{task_id}/{step}/{attempt}".encode(), digest_size=7).digest()
    return int.from_bytes(digest) / 2**56
