"""How each state of a step and of a task looks: a symbol that tells without colour, and a colour."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """A symbol one column wide, and a style in the words of rich."""

    symbol: str
    style: str


STEP: Mapping[str, Look] = {
    "pending": Look("○", "dim"),
    "dispatched": Look("◔", "yellow"),
    "in_progress": Look("◑", "bold yellow"),
    "waiting_for_retry": Look("↻", "magenta"),
    "complete": Look("✓", "green"),
    "resolved_manually": Look("✔", "cyan"),
    "bypassed": Look("↷", "cyan"),
    "error": Look("✗", "bold red"),
    "cancelled": Look("⊘", "dim red"),
}
"""In the order in which a bar shows them from the right: what is done stands last and is drawn first."""

TASK: Mapping[str, str] = {
    "pending": "dim",
    "in_progress": "yellow",
    "paused": "magenta",
    "complete": "green",
    "error": "bold red",
    "cancelled": "red",
    "resolved_manually": "cyan",
}

NO_STATE = Look("●", "")
UNKNOWN = Look("?", "")
TERMINAL = frozenset({"complete", "error", "cancelled", "resolved_manually"})
SUCCEEDED = frozenset({"complete", "resolved_manually"})


def look_of(state: str | None) -> Look:
    """Give how a step looks; None is a step of a template, which has no state."""
    return NO_STATE if state is None else STEP.get(state, UNKNOWN)
