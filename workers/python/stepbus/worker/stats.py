"""What a worker has done since it was made."""

from dataclasses import dataclass


@dataclass(slots=True)
class Stats:
    """Counters that only rise, but for `running`, the jobs in hand now.

    Shape: `retried` counts the times that a message was sent again since the bus did not confirm it; `given_back` jobs
    were returned to the queue unanswered; `quarantined` messages were no jobs.
    """

    received: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    timed_out: int = 0
    heartbeats: int = 0
    duplicates: int = 0
    quarantined: int = 0
    given_back: int = 0
    retried: int = 0
