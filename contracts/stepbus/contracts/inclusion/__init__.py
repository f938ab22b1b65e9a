"""Whether what one schema allows is allowed by another: shown, refuted by a value, or left open."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from stepbus.contracts.inclusion.place import Document, Place
from stepbus.contracts.inclusion.prover import includes
from stepbus.contracts.inclusion.witness import counterexample

__all__ = ["Answer", "Document", "Inclusion", "Place", "counterexample", "includes", "inclusion"]


class Answer(Enum):
    """What is known of two schemas."""

    SHOWN = "shown"
    REFUTED = "refuted"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Whether the general schema allows all that the special one does; if it is refuted, by this value."""

    answer: Answer
    value: Any = None


def inclusion(general: Place, special: Place) -> Inclusion:
    """Say whether one schema allows every value that another allows. Both hold `schema_problems` empty.

    Guarantee: `SHOWN` is so for every value; `REFUTED` by one that the special schema allows and the general does not.
    """
    if includes(general, special):
        return Inclusion(Answer.SHOWN)
    found = counterexample(general, special)
    return Inclusion(Answer.OPEN) if found is None else Inclusion(Answer.REFUTED, found[0])
