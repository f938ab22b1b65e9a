"""Whether every value that satisfies one schema satisfies another: shown keyword by keyword, or left open.

What is shown is so. What is not shown may still be so: words whose meaning hangs on more than what stands beside them
(`unevaluatedProperties`, most of `not`, `oneOf`, `contains`) count as satisfied only where both schemas say the same.
"""

from collections.abc import Iterable
from typing import Final

from stepbus.contracts.inclusion.facts import TYPES, Facts
from stepbus.contracts.inclusion.keywords import APPLIES_TO, JUDGES, means_the_same
from stepbus.contracts.inclusion.place import Document, Place, conjuncts

MAX_QUESTIONS: Final = 5_000
"""How many questions one proof may take; what takes more is left open."""

_ONE_KIND: Final = {kind: Document({"type": kind}).top for kind in (*sorted(TYPES - {"fraction"}), "number")}


class TooCostly(Exception):
    """The question is left open: to answer it takes too many others."""


def includes(general: Place, special: Place) -> bool:
    """Say whether it is shown that `general` allows every value that `special` allows."""
    try:
        return Prover().is_shown(Facts((special,)), general)
    except TooCostly:
        return False


class Prover:
    """One proof.

    Guarantee: a question about a part of a value that comes up again while it is being answered is taken for answered
    with yes. That is sound: each round leads deeper into the value, and values end.
    """

    def __init__(self) -> None:
        self._left = MAX_QUESTIONS
        self._granted: dict[tuple[frozenset[Place], Place], None] = {}

    def of_part(self, special: Iterable[Place], general: Place) -> bool:
        """Say whether a part of the value, that satisfies all of these, is shown to satisfy this one."""
        places = tuple(special)
        question = (frozenset(places), general)
        if question in self._granted:
            return True
        before = len(self._granted)
        self._granted[question] = None
        shown = self.is_shown(Facts(places), general)
        if not shown:
            for granted in list(self._granted)[before:]:  # what was answered while it was granted hangs on it
                del self._granted[granted]
        return shown

    def is_shown(self, special: Facts, general: Place) -> bool:
        """Say whether each value of which these facts hold is shown to satisfy this subschema."""
        self._left -= 1
        if self._left < 0:
            raise TooCostly
        if special.is_empty:
            return True
        if special.finite is not None:
            return all(general.allows(value) for value in special.finite)
        parts = list(conjuncts(general))
        if all(self._satisfies(special, part) for part in parts):
            return True
        alternatives = special.choice or self._kinds(special, parts)
        return bool(alternatives) and all(
            self.is_shown(special.with_one(alternatives, one), general) for one in alternatives
        )

    def _kinds(self, special: Facts, parts: list[Place]) -> list[Place]:
        """Give the kinds that values may be of, as alternatives, where the other schema tells them apart."""
        kinds = special.types - {"integer", "fraction"} | {"number"} if "fraction" in special.types else special.types
        is_told = any("anyOf" in part.schema for part in parts if isinstance(part.schema, dict))
        alternatives = [_ONE_KIND[kind] for kind in sorted(kinds)]
        return alternatives if is_told and len(alternatives) > 1 else []

    def _satisfies(self, special: Facts, general: Place) -> bool:
        if isinstance(general.schema, bool):
            return general.schema
        return all(self._keeps(special, general, keyword) for keyword in general.schema)

    def _keeps(self, special: Facts, general: Place, keyword: str) -> bool:
        """Say whether what one keyword demands, with those that it leans on, is shown."""
        judge = JUDGES.get(keyword)
        if judge is None or special.types.isdisjoint(APPLIES_TO.get(keyword, TYPES)):
            return True
        if any(means_the_same(keyword, general, place) for place, _ in special.schemas):
            return True
        return judge(self, special, general)
