"""Whether one schema allows all that another does, keyword by keyword."""

from typing import Any

import pytest

from stepbus.contracts.inclusion import Answer, Document, Inclusion, inclusion, prover

OBJECT, ARRAY, TEXT, NUMBER = {"type": "object"}, {"type": "array"}, {"type": "string"}, {"type": "number"}
WHOLE = {"type": "integer"}
LIST = {"$defs": {"node": {"type": ["object", "null"], "properties": {"next": {"$ref": "#/$defs/node"}}}}}


def asked(special: Any, general: Any) -> Inclusion:
    return inclusion(Document(general).top, Document(special).top)


SHOWN = [
    (TEXT, True),
    (TEXT, {}),
    (False, TEXT),
    ({"allOf": [TEXT, WHOLE]}, ARRAY),
    (WHOLE, NUMBER),
    (WHOLE, {"type": ["number", "null"]}),
    ({"const": 3}, WHOLE),
    ({"enum": ["a", "b"]}, {"enum": ["a", "b", "c"]}),
    ({"enum": ["a", 1], "type": "string"}, {"const": "a"}),
    ({"type": "boolean"}, {"enum": [True, False]}),
    ({"type": ["null", "boolean"]}, {"enum": [None, True, False]}),
    ({"minimum": 3}, {"minimum": 3}),
    ({"exclusiveMinimum": 3}, {"minimum": 3}),
    ({"minimum": 4}, {"exclusiveMinimum": 3}),
    ({"exclusiveMinimum": 3}, {"exclusiveMinimum": 3, "title": "more than three"}),
    ({"maximum": 2}, {"maximum": 3}),
    ({"exclusiveMaximum": 3}, {"maximum": 3}),
    ({"maximum": 2}, {"exclusiveMaximum": 3}),
    ({"exclusiveMaximum": 3, "maximum": 9}, {"exclusiveMaximum": 3}),
    ({"multipleOf": 6}, {"multipleOf": 3}),
    (WHOLE, {"multipleOf": 1}),
    ({"multipleOf": 0.1}, {"multipleOf": 0.1}),
    (TEXT, {"minimum": 3}),
    ({"minLength": 3}, {"minLength": 2}),
    ({"maxLength": 3}, {"maxLength": 4}),
    ({"pattern": "^a"}, {"pattern": "^a", "title": "an a first"}),
    ({"format": "uuid"}, {"format": "uuid"}),
    ({"minItems": 2}, {"minItems": 1}),
    ({"maxItems": 2}, {"maxItems": 2, "uniqueItems": False}),
    ({"maxItems": 1}, {"uniqueItems": True}),
    ({"uniqueItems": True}, {"uniqueItems": True}),
    ({"minProperties": 2}, {"minProperties": 1}),
    ({"required": ["a", "b"]}, {"minProperties": 2}),
    ({"maxProperties": 2}, {"maxProperties": 3}),
    ({"required": ["a", "b"]}, {"required": ["a"]}),
    ({"allOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"required": ["a", "b"]}),
    ({"properties": {"a": WHOLE}}, {"properties": {"a": NUMBER}}),
    ({"properties": {"a": False}}, {"properties": {"a": TEXT}}),
    ({"additionalProperties": WHOLE}, {"properties": {"a": NUMBER}}),
    ({"patternProperties": {"^a": WHOLE}}, {"properties": {"ab": NUMBER}}),
    ({"patternProperties": {"^a": WHOLE}}, {"patternProperties": {"^a": NUMBER}}),
    ({"additionalProperties": WHOLE}, {"patternProperties": {"^a": NUMBER}}),
    ({"properties": {"ab": WHOLE}, "additionalProperties": False}, {"patternProperties": {"^a": NUMBER, "^b": TEXT}}),
    (OBJECT, {"patternProperties": {"^a": {}}}),
    ({"properties": {"a": WHOLE}, "additionalProperties": False}, {"additionalProperties": NUMBER}),
    (
        {"patternProperties": {"^a": TEXT}, "additionalProperties": WHOLE},
        {"patternProperties": {"^a": TEXT}, "additionalProperties": NUMBER},
    ),
    (
        {"properties": {"a": TEXT, "b": WHOLE}, "additionalProperties": False},
        {"properties": {"a": {}}, "additionalProperties": WHOLE},
    ),
    (OBJECT, {"additionalProperties": True}),
    ({"propertyNames": {"maxLength": 3}}, {"propertyNames": {"maxLength": 4}}),
    (OBJECT, {"propertyNames": TEXT}),
    ({"properties": {"a": {}, "ab": {}}, "additionalProperties": False}, {"propertyNames": {"maxLength": 2}}),
    ({"required": ["a", "b"]}, {"dependentRequired": {"a": ["b"]}}),
    ({"properties": {"a": False}}, {"dependentRequired": {"a": ["b"]}}),
    ({"properties": {"a": False}}, {"dependentSchemas": {"a": {"required": ["b"]}}}),
    ({"required": ["b"]}, {"dependentSchemas": {"a": {"required": ["b"]}}}),
    (OBJECT, {"dependencies": {}}),
    ({"items": WHOLE}, {"items": NUMBER}),
    ({"prefixItems": [WHOLE, TEXT], "items": False}, {"prefixItems": [NUMBER, TEXT], "items": TEXT}),
    ({"prefixItems": [WHOLE, TEXT], "maxItems": 2}, {"items": {"type": ["integer", "string"]}}),
    ({"items": WHOLE, "maxItems": 1}, {"prefixItems": [NUMBER, TEXT]}),
    ({"contains": WHOLE}, {"contains": WHOLE}),
    ({"contains": WHOLE, "minContains": 2}, {"contains": NUMBER}),
    ({"contains": NUMBER, "maxContains": 2}, {"contains": WHOLE, "minContains": 0, "maxContains": 3}),
    ({"not": NUMBER}, {"not": WHOLE}),
    (ARRAY, {"contains": WHOLE, "minContains": 0}),
    (WHOLE, {"anyOf": [TEXT, NUMBER]}),
    ({"type": ["integer", "string"]}, {"anyOf": [TEXT, NUMBER]}),
    ({"type": ["number", "string"]}, {"anyOf": [TEXT, NUMBER]}),
    ({"anyOf": [TEXT, WHOLE]}, {"type": ["string", "number"]}),
    ({"oneOf": [TEXT, WHOLE]}, {"anyOf": [NUMBER, TEXT]}),
    (TEXT, {"oneOf": [TEXT, NUMBER]}),
    (TEXT, {"not": NUMBER}),
    (TEXT, {"if": {"minLength": 3}, "then": TEXT, "else": {"type": ["string", "null"]}}),
    (TEXT, {"if": {"minLength": 3}}),
    ({"$ref": "#/$defs/a", "$defs": {"a": WHOLE}}, NUMBER),
    (WHOLE, {"$ref": "#/$defs/a", "$defs": {"a": NUMBER}}),
    ({"$ref": "#a", "$defs": {"b": {"$anchor": "a", "const": 7}}}, WHOLE),
    ({"$ref": "#/$defs/node"} | LIST, {"$ref": "#/$defs/node"} | LIST | {"$id": "https://example.org/list"}),
    (
        {"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": False},
        {"properties": {"next": {"$ref": "#/$defs/node"}}} | LIST,
    ),
    (OBJECT, {"unevaluatedProperties": True}),
    (ARRAY, {"unevaluatedItems": True}),
    (
        {"properties": {"a": TEXT}, "unevaluatedProperties": False},
        {"properties": {"a": TEXT}, "unevaluatedProperties": False},
    ),
]


@pytest.mark.parametrize(("special", "general"), SHOWN)
def test_it_is_shown_that_all_values_of_the_one_are_values_of_the_other(special: Any, general: Any) -> None:
    assert asked(special, general) == Inclusion(Answer.SHOWN)


@pytest.mark.parametrize(
    ("special", "general", "value"),
    [
        ({"const": 1}, False, 1),
        (NUMBER, WHOLE, 0.5),
        (TEXT, NUMBER, "text"),
        ({"const": 4}, {"const": 5}, 4),
        ({"type": "boolean"}, {"const": True}, False),
        ({"type": "null"}, TEXT, None),
        (WHOLE, {"minimum": 7}, 0),
        ({"type": "integer", "minimum": 7}, {"minimum": 8}, 7),
        ({"type": "number", "minimum": 7.25, "exclusiveMaximum": 7.5}, {"maximum": 7}, 7.25),
        ({"type": "integer", "multipleOf": 4}, {"multipleOf": 8}, 4),
        ({"type": "string", "minLength": 5}, {"maxLength": 7}, "two words"),
        ({"type": "string", "minLength": 50}, {"maxLength": 50}, "a" * 51),
        (OBJECT, {"required": ["a"]}, {}),
        ({"type": "object", "properties": {"a": TEXT}}, {"properties": {"a": WHOLE}}, {"a": "text"}),
        (
            {"type": "object", "required": ["b", "a"], "properties": {"a": TEXT}},
            {"maxProperties": 1},
            {"a": "text", "b": {}},
        ),
        (OBJECT, {"properties": {"a": WHOLE}}, {"a": {}}),
        ({"type": "object", "properties": {"ab": TEXT}}, {"patternProperties": {"^a": WHOLE}}, {"ab": "text"}),
        (OBJECT, {"additionalProperties": False}, {"another": {}}),
        ({"type": "object", "minProperties": 2}, {"maxProperties": 1}, {"key0": 7, "key1": 7}),
        (
            {"type": "object", "required": ["a"], "minProperties": 1, "properties": {"a": TEXT}},
            {"required": ["b"]},
            {"a": "text"},
        ),
        (OBJECT, {"dependentRequired": {"a": ["b"]}}, {"a": {}}),
        ({"type": "array", "items": TEXT}, {"items": WHOLE}, ["text"]),
        ({"type": "array", "items": TEXT}, {"maxItems": 2}, ["text"] * 3),
        (
            {"type": "array", "prefixItems": [WHOLE, TEXT], "minItems": 2, "maxItems": 2},
            {"prefixItems": [WHOLE, {"minLength": 2}]},
            [0, ""],
        ),
        ({"anyOf": [TEXT, WHOLE]}, NUMBER, "text"),
        ({"anyOf": [False, TEXT]}, NUMBER, "text"),
    ],
)
def test_it_is_refuted_by_a_value(special: Any, general: Any, value: Any) -> None:
    assert asked(special, general) == Inclusion(Answer.REFUTED, value)


@pytest.mark.parametrize(
    ("special", "general"),
    [
        ({"type": "string", "pattern": "^[f-h]{9}$"}, {"pattern": "^[a-z]*$"}),
        ({"multipleOf": 0.2, "type": "number", "minimum": 99, "maximum": 100}, {"multipleOf": 0.1}),
        (TEXT, {"not": {"pattern": "^[q-z]{30}$"}}),
        (ARRAY, {"contains": {}, "minContains": 0, "maxContains": 40}),
        (TEXT, {"oneOf": [TEXT, {"type": "string", "pattern": "^[q-z]{30}$"}]}),
        (OBJECT, {"propertyNames": {"maxLength": 40}}),
        (OBJECT, {"patternProperties": {"^[q-z]{30}$": WHOLE}}),
        ({"type": "object", "properties": {"a": TEXT}}, {"patternProperties": {"^[q-z]{30}$": WHOLE}}),
        ({"type": "object", "required": ["a"], "properties": {"a": {"allOf": [TEXT, WHOLE]}}}, WHOLE),
        (OBJECT, {"dependencies": {"qqqq": ["zzzz"]}}),
    ],
)
def test_what_is_neither_shown_nor_refuted_is_left_open(special: Any, general: Any) -> None:
    assert asked(special, general).answer is Answer.OPEN


def test_a_reference_means_what_its_own_document_says() -> None:
    special = {"properties": {"a": {"$ref": "#/$defs/a"}}, "type": "object", "$defs": {"a": TEXT}}

    assert asked(special, special | {"$defs": {"a": WHOLE}}).answer is Answer.REFUTED


def test_a_reference_that_leads_nowhere_is_an_error() -> None:
    with pytest.raises(LookupError):
        asked({"$ref": "#/nowhere"}, TEXT)


def test_one_and_true_are_not_the_same() -> None:
    assert asked({"not": {"const": 1}}, {"not": {"const": True}}).answer is Answer.REFUTED


def test_what_was_granted_to_a_question_that_failed_is_taken_back() -> None:
    """Each list ends in a text for the one, in a number for the other: to be inside of both proves nothing."""
    special = {"type": "array", "items": {"anyOf": [{"$ref": "#"}, TEXT]}}
    general = {"type": "array", "items": {"anyOf": [{"$ref": "#"}, NUMBER]}}

    assert asked(special, general) == Inclusion(Answer.REFUTED, ["text"])


def test_a_question_that_takes_too_many_others_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prover, "MAX_QUESTIONS", 2)

    assert asked({"properties": {"a": WHOLE}}, {"properties": {"a": NUMBER, "b": {}}}).answer is Answer.OPEN
