"""A change that is called compatible keeps every value good, and a change of nothing is none."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stepbus.contracts.changes import KINDS, Direction, schema_changes
from stepbus.contracts.schema import compile_schema, schema_problems
from tests.support.json_schemas import pairs, schemas, values


def allows(schema: Any, value: Any) -> bool:
    return not list(compile_schema(schema).problems(value))


@pytest.mark.parametrize("direction", ["input", "output"])
@settings(max_examples=300)
@given(pair=pairs(), samples=st.lists(values, max_size=20))
def test_what_is_called_compatible_keeps_every_value_good(
    direction: Direction, pair: tuple[Any, Any], samples: list[Any]
) -> None:
    old, new = pair
    assume(not list(schema_problems(old)) and not list(schema_problems(new)))

    found = schema_changes(old, new, direction)

    assert {change.code for change in found} <= KINDS.keys()
    if not any(change.breaking for change in found):
        promised, kept = (old, new) if direction == "input" else (new, old)
        assert all(allows(kept, value) for value in samples if allows(promised, value))


@given(schemas)
def test_a_schema_has_not_changed_from_itself(schema: Any) -> None:
    assume(not list(schema_problems(schema)))

    assert not schema_changes(schema, dict(reversed(schema.items())), "input")
