"""What a user's JSON Schema must keep to before it is run."""

from typing import Any

import jsonschema_rs
import pytest

from stepbus.contracts.problems import Refused
from stepbus.contracts.schema import (
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_DEPTH,
    MAX_SUBSCHEMAS,
    compile_schema,
    rules,
    schema_problems,
)


def problems(schema: Any) -> list[tuple[str, str]]:
    return [(problem.code, problem.pointer) for problem in schema_problems(schema)]


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels - 1):
        schema = {"not": schema}
    return schema


def doubling(levels: int) -> dict[str, Any]:
    """Give a schema that looks at a value 2 to the power of its levels times."""
    definitions: dict[str, Any] = {
        f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)
    }
    return {"$defs": definitions | {f"d{levels}": {"type": "string"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "code", "pointer"),
    [
        ("text", "schema.invalid", ""),
        (None, "schema.invalid", ""),
        ({"enum": [float("nan")]}, "schema.invalid", ""),
        ({"enum": [object()]}, "schema.invalid", ""),
        ({"type": "objec"}, "schema.invalid", "/type"),
        ({"minimum": "1"}, "schema.invalid", "/minimum"),
        ({"items": [{}]}, "schema.invalid", "/items"),
        ({"properties": {"a/b": 5}}, "schema.invalid", "/properties/a~1b"),
        ({"allOf": {}}, "schema.invalid", "/allOf"),
        ({"properties": []}, "schema.invalid", "/properties"),
        ({"$ref": 5}, "schema.invalid", "/$ref"),
        ({"$ref": "http://example.com/x"}, "schema.remote_ref", "/$ref"),
        ({"items": {"$ref": "file:///etc/passwd"}}, "schema.remote_ref", "/items/$ref"),
        ({"$id": "http://example.com/x", "$ref": "y"}, "schema.remote_ref", "/$ref"),
        ({"dependencies": {"a": {"$ref": "http://x"}}}, "schema.remote_ref", "/dependencies/a/$ref"),
        ({"$id": "::::"}, "schema.invalid", ""),
        ({"$ref": "#/$defs/a"}, "schema.unknown_ref", "/$ref"),
        ({"$ref": "#a"}, "schema.unknown_ref", "/$ref"),
        ({"x": {"type": "string"}, "$ref": "#/x"}, "schema.unknown_ref", "/$ref"),
        ({"$dynamicRef": "#a", "$dynamicAnchor": "a"}, "schema.dynamic_ref", "/$dynamicRef"),
        ({"$recursiveRef": "#"}, "schema.dynamic_ref", "/$recursiveRef"),
        ({"items": {"$id": "http://example.com/x"}}, "schema.id", "/items/$id"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "schema.dialect", "/$schema"),
        ({"pattern": "("}, "schema.pattern", "/pattern"),
        ({"pattern": "(?=a)a"}, "schema.pattern", "/pattern"),
        ({"pattern": "(a)\\1"}, "schema.pattern", "/pattern"),
        ({"pattern": "a{1000}{1000}"}, "schema.pattern", "/pattern"),
        ({"pattern": "a" * 257}, "schema.pattern", "/pattern"),
        ({"patternProperties": {"[": {}}}, "schema.pattern", "/patternProperties/["),
        ({"anyOf": [{"pattern": str(number)} for number in range(65)]}, "schema.too_many_patterns", ""),
        ({"title": "x" * MAX_SCHEMA_BYTES}, "schema.too_large", ""),
        (nested(MAX_SCHEMA_DEPTH + 1), "schema.depth", "/not" * MAX_SCHEMA_DEPTH),
        ({"anyOf": [True] * MAX_SUBSCHEMAS}, "schema.too_many_subschemas", ""),
        ({"$ref": "#"}, "schema.endless_ref", ""),
        ({"allOf": [{"$ref": "#"}]}, "schema.endless_ref", ""),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "schema.endless_ref", "/$defs/b"),
        (doubling(25), "schema.too_costly", ""),
    ],
)
def test_what_a_schema_may_not_do_is_refused_with_its_place(schema: Any, code: str, pointer: str) -> None:
    assert problems(schema) == [(code, pointer)]


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        {"$schema": "https://json-schema.org/draft/2020-12/schema#", "$id": "https://example.com/x"},
        {"$defs": {"a/b": {"type": "string"}}, "items": {"$ref": "#/$defs/a~1b"}},
        {"$defs": {"a b": {}}, "items": {"$ref": "#/$defs/a%20b"}},
        {"$defs": {"a": {"$anchor": "here"}}, "items": {"$ref": "#here"}},
        {"properties": {"child": {"$ref": "#"}, "other": {"$ref": "#"}}},
        {"const": {"$ref": "http://example.com/x"}, "enum": [{"pattern": "("}]},
        {"properties": {"$ref": {"type": "string"}, "pattern": True}},
        {"dependencies": {"a": ["b"], "c": {"type": "object"}}},
        {"unknown": 1, "format": "unknown"},
        {"prefixItems": [{}], "dependentSchemas": {"a": {}}, "if": {}, "then": {}, "else": {}},
        nested(MAX_SCHEMA_DEPTH),
        {"anyOf": [True] * (MAX_SUBSCHEMAS - 1)},
        {"pattern": "^\\w{1,255}$"},
        doubling(5),
    ],
)
def test_what_the_standard_allows_and_bounds_allow_is_taken(schema: Any) -> None:
    assert problems(schema) == []
    compile_schema(schema)


def test_every_breach_of_a_schema_is_told_with_its_place_in_the_document() -> None:
    schema = {"type": "x", "items": {"$ref": "http://x"}, "properties": {"a": {"pattern": "("}, "b": {"minimum": ""}}}

    assert sorted((problem.code, problem.pointer) for problem in schema_problems(schema, "/steps/0/result_schema")) == [
        ("schema.invalid", "/steps/0/result_schema/properties/b/minimum"),
        ("schema.invalid", "/steps/0/result_schema/type"),
        ("schema.pattern", "/steps/0/result_schema/properties/a/pattern"),
        ("schema.remote_ref", "/steps/0/result_schema/items/$ref"),
    ]


def test_a_schema_that_may_not_be_used_is_not_compiled() -> None:
    with pytest.raises(Refused, match=r"schema\.invalid at /type"):
        compile_schema({"type": "x"})
    with pytest.raises(Refused, match=r"schema\.invalid at /"):
        compile_schema({"enum": [object()]})


def test_what_would_slip_through_is_not_fetched_either() -> None:
    with pytest.raises(jsonschema_rs.ValidationError, match=r"nothing is fetched, not http://127\.0\.0\.1:9/x either"):
        rules.compiled({"$ref": "http://127.0.0.1:9/x"})


def test_equal_schemas_are_compiled_once() -> None:
    assert compile_schema({"type": "string", "minLength": 1}) is compile_schema({"minLength": 1, "type": "string"})
