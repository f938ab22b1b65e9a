"""Every kind of change of a contract: its code, what it says, and whom it breaks.

Whether a change of a schema breaks somebody depends on who writes the values. Of inputs (what clients send, what a
handler receives) old values must stay valid, so that narrowing breaks; of outputs (results, errors, what stepbus tells)
a reader of the old must know all that can come, so that widening breaks.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Literal, NamedTuple

Direction = Literal["input", "output"]


class Effect(Enum):
    """What a change does: to the values that a schema allows, or to those who worked with the old."""

    NARROWS = "narrows"
    WIDENS = "widens"
    ALTERS = "alters"
    BREAKS = "breaks"
    KEEPS = "keeps"

    def is_breaking(self, direction: Direction) -> bool:
        """Say whether somebody who works with the old can't work with the new."""
        by_direction = {"input": Effect.NARROWS, "output": Effect.WIDENS}
        return self in {Effect.ALTERS, Effect.BREAKS, by_direction[direction]}


class Change(NamedTuple):
    """One change.

    Shape: `pointer` is where it stands in the new document, in the old one if it is there no more. `old` and `new` are
    JSON values, None where there is none.
    """

    code: str
    pointer: str
    old: Any
    new: Any
    breaking: bool
    why: str


_N, _W, _A, _B, _K = Effect.NARROWS, Effect.WIDENS, Effect.ALTERS, Effect.BREAKS, Effect.KEEPS

KINDS: Final[Mapping[str, tuple[Effect, str]]] = {
    "additional_properties.closed": (_N, "keys that are not listed are refused"),
    "additional_properties.constrained": (_N, "values of keys that are not listed must satisfy a schema"),
    "additional_properties.opened": (_W, "keys that are not listed are allowed"),
    "additional_properties.unconstrained": (_W, "values of keys that are not listed may be anything"),
    "all_of.branch_added": (_N, "one more schema must be satisfied"),
    "all_of.branch_removed": (_W, "one schema less must be satisfied"),
    "annotation.changed": (_K, "words for readers; no value is affected"),
    "any_of.added": (_N, "one of several schemas must be satisfied"),
    "any_of.branch_added": (_W, "there is one more alternative"),
    "any_of.branch_removed": (_N, "there is one alternative less"),
    "any_of.removed": (_W, "none of several schemas need be satisfied"),
    "attempts.lowered": (_B, "a step that was done at a later attempt fails"),
    "attempts.raised": (_K, "a step is tried more often"),
    "backoff.changed": (_K, "attempts follow each other at other intervals"),
    "bound.loosened": (_W, "numbers are allowed that were not"),
    "bound.tightened": (_N, "numbers are refused that were allowed"),
    "condition.added": (_N, "values of a certain kind must satisfy one more schema"),
    "condition.changed": (_A, "other values must satisfy, or what they must satisfy is another schema"),
    "condition.removed": (_W, "values of a certain kind need satisfy a schema less"),
    "const.added": (_N, "only one value is left"),
    "const.changed": (_A, "the only value is another one"),
    "const.removed": (_W, "other values are allowed as well"),
    "contains.added": (_N, "a list must hold a certain item"),
    "contains.changed": (_A, "a list must hold another item"),
    "contains.removed": (_W, "a list need not hold a certain item"),
    "contains_count.loosened": (_W, "a list may hold a certain item more or less often"),
    "contains_count.tightened": (_N, "a list must hold a certain item more or less often"),
    "deadline.added": (_B, "tasks fail that take longer than they may now"),
    "deadline.lengthened": (_K, "tasks may take longer"),
    "deadline.removed": (_K, "tasks may take as long as they need"),
    "deadline.shortened": (_B, "tasks fail that take longer than they may now"),
    "dependency.added": (_K, "the step runs later, and receives one more result"),
    "dependency.removed": (_B, "the step no longer receives this result"),
    "dependency_rule.added": (_N, "a key demands something of the rest"),
    "dependency_rule.changed": (_A, "a key demands something else of the rest"),
    "dependency_rule.removed": (_W, "a key demands less of the rest"),
    "description.changed": (_K, "words for readers; nothing is affected"),
    "enum.added": (_N, "only certain values are left"),
    "enum.removed": (_W, "other values are allowed as well"),
    "enum.value_added": (_W, "a value is allowed that was not"),
    "enum.value_removed": (_N, "a value is refused that was allowed"),
    "format.added": (_N, "texts must be of a format"),
    "format.changed": (_A, "texts must be of another format"),
    "format.removed": (_W, "texts need not be of a format"),
    "handler.changed": (_B, "workers that serve the old handler receive no jobs of the step"),
    "handler.introduced": (_K, "a worker must serve a handler that no step had before"),
    "items.constrained": (_N, "items must satisfy a schema"),
    "items.unconstrained": (_W, "items may be anything"),
    "items_count.loosened": (_W, "lists of other lengths are allowed"),
    "items_count.tightened": (_N, "lists of some lengths are refused that were allowed"),
    "length.loosened": (_W, "texts of other lengths are allowed"),
    "length.tightened": (_N, "texts of some lengths are refused that were allowed"),
    "document.added": (_K, "a document is there that was not"),
    "document.removed": (_B, "a document is gone"),
    "multiple_of.changed": (_A, "numbers must be multiples of another number"),
    "multiple_of.loosened": (_W, "numbers are allowed that were not"),
    "multiple_of.tightened": (_N, "numbers are refused that were allowed"),
    "not.added": (_N, "certain values are refused"),
    "not.removed": (_W, "certain values are allowed that were refused"),
    "one_of.added": (_N, "exactly one of several schemas must be satisfied"),
    "one_of.branch_added": (_A, "there is one more alternative, which may also clash with another"),
    "one_of.branch_changed": (_A, "an alternative is another one, which may also clash with another"),
    "one_of.branch_removed": (_A, "there is one alternative less, with which others may have clashed"),
    "one_of.removed": (_W, "none of several schemas need be satisfied"),
    "pattern.added": (_N, "texts must match a pattern"),
    "pattern.changed": (_A, "texts must match another pattern"),
    "pattern.removed": (_W, "texts need not match a pattern"),
    "pattern_property.added": (_A, "keys of a pattern are under a schema of their own"),
    "pattern_property.removed": (_A, "keys of a pattern are under the schema of the rest"),
    "prefix_item.added": (_A, "the item at this place is under a schema of its own"),
    "prefix_item.removed": (_A, "the item at this place is under the schema of the rest"),
    "properties_count.loosened": (_W, "objects of other sizes are allowed"),
    "properties_count.tightened": (_N, "objects of some sizes are refused that were allowed"),
    "property.added_to_closed": (_W, "a key is allowed that was not"),
    "property.added_to_constrained": (_A, "a key that was under the schema of the rest has one of its own"),
    "property.added_to_open": (_N, "the value of a key that could be anything must satisfy a schema"),
    "property.removed_from_closed": (_N, "a key is refused that was allowed"),
    "property.removed_from_constrained": (_A, "a key that had a schema of its own is under that of the rest"),
    "property.removed_from_open": (_W, "the value of a key may be anything"),
    "property_names.added": (_N, "keys must satisfy a schema"),
    "property_names.removed": (_W, "keys may be any"),
    "queue.changed": (_B, "workers of the old queue receive no jobs of the step"),
    "ref.changed": (_A, "the schema is written in another place, and may be another"),
    "required.added": (_N, "a key must be there that could be left out"),
    "required.removed": (_W, "a key may be left out that had to be there"),
    "schema.closed": (_N, "no value is allowed"),
    "schema.declared": (_N, "a schema must be satisfied where there was none"),
    "schema.opened": (_W, "values are allowed where none was"),
    "schema.undecided": (_A, "it can't be shown that what was good stays good"),
    "schema.withdrawn": (_W, "anything is allowed where a schema had to be satisfied"),
    "skippable.added": (_K, "requests may leave the step out"),
    "skippable.removed": (_B, "requests that leave the step out are refused"),
    "step.added": (_K, "one more step runs"),
    "step.removed": (_B, "its result is gone, and requests that name it are refused"),
    "step.renamed": (_B, "its result has another name, and requests that name the old are refused"),
    "template.renamed": (_B, "requests for the old name do not reach the new"),
    "timeout.lengthened": (_K, "an attempt may take longer"),
    "timeout.shortened": (_B, "attempts are given up that would have been answered"),
    "type.changed": (_A, "values of other kinds are allowed, and some are refused that were allowed"),
    "type.narrowed": (_N, "values of some kinds are refused that were allowed"),
    "type.widened": (_W, "values of other kinds are allowed as well"),
    "unevaluated.changed": (_A, "keys or items that nothing speaks of are under another schema"),
    "unevaluated.closed": (_N, "keys or items that nothing speaks of must satisfy a schema"),
    "unevaluated.opened": (_W, "keys or items that nothing speaks of may be anything"),
    "unique_items.dropped": (_W, "a list may hold an item twice"),
    "unique_items.required": (_N, "a list may not hold an item twice"),
    "version.not_raised": (_B, "a template that differs must have a higher version"),
}
"""By its code, what a change does and why that matters."""


KEPT_BY_OPEN_TASKS: Final = frozenset(
    {"attempts.lowered", "deadline.added", "deadline.shortened", "skippable.removed", "timeout.shortened"}
)
"""Breaking kinds that an open task does not notice, since it keeps the template that it started with."""


def change(code: str, pointer: str, old: Any, new: Any, direction: Direction = "input") -> Change:
    """Give a change of a kind; `direction` is of the values that it is about."""
    effect, why = KINDS[code]
    return Change(code, pointer, old, new, effect.is_breaking(direction), why)
