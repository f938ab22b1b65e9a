"""What a value is told that breaks its schema."""

from typing import Any

import pytest

from stepbus.contracts.schema import compile_schema


def told(schema: Any, value: Any) -> list[tuple[str, str, str]]:
    return [
        (problem.code, problem.pointer, problem.message) for problem in compile_schema(schema).problems(value, "/v")
    ]


@pytest.mark.parametrize(
    ("schema", "value", "code", "pointer", "message"),
    [
        ({"type": "string"}, 5, "type", "/v", "expected a text, found the number 5"),
        ({"type": ["array", "null"]}, {}, "type", "/v", "expected null or a list, found an empty object"),
        ({"required": ["a"]}, {}, "required", "/v", "expected the key 'a', found none"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "required", "/v", "expected the key 'b', found none"),
        ({"minimum": 3}, 1, "minimum", "/v", "expected at least 3, found the number 1"),
        ({"exclusiveMaximum": 3}, 3, "exclusive_maximum", "/v", "expected less than 3, found the number 3"),
        ({"multipleOf": 2}, 3, "multiple_of", "/v", "expected a multiple of 2, found the number 3"),
        ({"minLength": 3}, "a", "min_length", "/v", 'expected at least 3 characters, found the text "a"'),
        ({"pattern": "^b"}, "a", "pattern", "/v", 'expected a text that matches ^b, found the text "a"'),
        ({"format": "uuid"}, "a", "format", "/v", 'expected a text of the format uuid, found the text "a"'),
        ({"format": "date-time"}, "a", "format", "/v", 'expected a text of the format date-time, found the text "a"'),
        ({"enum": ["a", 1]}, "b", "enum", "/v", "expected one of ['a', 1], found the text \"b\""),
        ({"const": {"a": 1}}, [], "const", "/v", "expected {'a': 1}, found an empty list"),
        ({"maxItems": 1}, [1, 2], "max_items", "/v", "expected at most 1 items, found a list"),
        ({"uniqueItems": True}, [1, 1], "unique_items", "/v", "expected each item once, found a list"),
        (False, 1, "false_schema", "/v", "expected nothing here, found the number 1"),
        ({"items": {"type": "null"}}, [None, 1], "type", "/v/1", "expected null, found the number 1"),
        ({"properties": {"a/b": {"type": "null"}}}, {"a/b": 1}, "type", "/v/a~1b", "expected null, found the number 1"),
    ],
)
def test_the_words_name_what_was_expected_and_what_was_found(
    schema: Any, value: Any, code: str, pointer: str, message: str
) -> None:
    assert told(schema, value) == [(f"schema.{code}", pointer, message)]


def test_each_key_that_is_not_expected_has_a_place_of_its_own() -> None:
    schema = {"properties": {"a": True}, "additionalProperties": False}

    assert told(schema, {"a": 1, "b": 2, "c/d": 3}) == [
        (
            "schema.additional_properties",
            "/v/b",
            "expected only the keys that the schema knows, found 'b'",
        ),
        (
            "schema.additional_properties",
            "/v/c~1d",
            "expected only the keys that the schema knows, found 'c/d'",
        ),
    ]


def test_a_keyword_without_words_of_ours_is_named() -> None:
    ((code, pointer, message),) = told({"oneOf": [{"type": "string"}, {"minLength": 1}]}, "text")

    assert (code, pointer) == ("schema.one_of", "/v")
    assert message.startswith("expected a value that oneOf allows: ")


def test_all_that_is_wrong_is_told_at_once_up_to_a_bound() -> None:
    assert len(told({"items": {"type": "string"}}, [1] * 50)) == 50
    assert len(told({"items": {"type": "string"}}, [1] * 5000)) == 100
    assert len(told({"additionalProperties": False}, {str(number): 1 for number in range(5000)})) == 100


def test_a_value_that_is_as_it_should_be_is_told_nothing() -> None:
    assert told({"type": "object", "properties": {"a": {"format": "email"}}}, {"a": "a@example.com"}) == []


def test_a_long_value_is_shortened() -> None:
    ((_, _, message),) = told({"type": "null"}, "a" * 10_000)

    assert len(message) < 200


def test_a_pattern_made_to_run_for_ever_does_not() -> None:
    assert told({"pattern": "^(a|aa)+$"}, "a" * 100_000 + "b")[0][0] == "schema.pattern"


def chain(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


TWICE = {"allOf": [{"properties": {"a": {"$ref": "#"}}}] * 2}
"""Doubles its looks with each level of the value."""


def test_a_value_too_deep_for_a_schema_that_multiplies_is_refused_unlooked_at() -> None:
    assert told(TWICE, chain(10)) == []
    assert told(TWICE, "text") == []
    assert told(TWICE, chain(60)) == [
        (
            "schema.too_costly",
            "/v",
            "expected a value that is held against its schema in reasonable time, found one too deep or large",
        )
    ]


def test_a_value_too_large_for_a_schema_that_multiplies_is_refused_unlooked_at() -> None:
    assert told(TWICE, [chain(8)] * 10) == []
    assert [code for code, _, _ in told(TWICE, [chain(12)] * 2_000)] == ["schema.too_costly"]


def test_a_schema_that_follows_a_tree_may_look_at_all_of_it() -> None:
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}
    value: dict[str, Any] = {}
    for _ in range(60):
        value = {"left": value, "right": {}}

    assert told(tree, value) == []
