"""What is shown of two schemas holds for every value, and what refutes it is a value that does."""

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stepbus.contracts.inclusion import Answer, Document, inclusion
from stepbus.contracts.schema import compile_schema, schema_problems
from tests.support.json_schemas import pairs, schemas, values


def allows(schema: Any, value: Any) -> bool:
    return not list(compile_schema(schema).problems(value))


@settings(max_examples=400)
@given(pairs() | st.tuples(schemas, schemas), st.lists(values, max_size=20))
def test_what_is_shown_holds_for_every_value(pair: tuple[Any, Any], samples: list[Any]) -> None:
    special, general = pair
    assume(not list(schema_problems(special)) and not list(schema_problems(general)))

    found = inclusion(Document(general).top, Document(special).top)

    if found.answer is Answer.SHOWN:
        wrong = [value for value in samples if allows(special, value) and not allows(general, value)]
        assert not wrong
    elif found.answer is Answer.REFUTED:
        assert allows(special, found.value)
        assert not allows(general, found.value)


@given(schemas)
def test_a_schema_includes_itself(schema: Any) -> None:
    assume(not list(schema_problems(schema)))

    assert inclusion(Document(schema).top, Document(dict(schema)).top).answer is Answer.SHOWN
