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
    factor = {
        "fixed": 1.0,
        "linear": float(attempt),
        "exponential": policy.factor ** (attempt - 1),
    }[policy.backoff]
    spread = 1 + policy.jitter * (2 * _fraction(task_id, step, attempt) - 1)
    return round(min(policy.initial * factor, policy.max) * spread)


def _fraction(task_id: UUID, step: str, attempt: int) -> float:
    """Give a number in [0, 1) that looks random and is always the same for these three."""
    digest = blake2b(f"{task_id}/{step}/{attempt}".encode(), digest_size=7).digest()
    return int.from_bytes(digest) / 2**56
