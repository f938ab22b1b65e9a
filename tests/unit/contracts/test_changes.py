"""Each kind of change has a name, a place, and a verdict that depends on which way the values go."""

from typing import Any

import pytest

from stepbus.contracts.changes import (
    KINDS,
    Document,
    direction_of,
    document_changes,
    schema_changes,
    template_changes,
)
from stepbus.contracts.problems import Refused
from stepbus.contracts.template import from_mapping

TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
CLOSED: dict[str, Any] = {"additionalProperties": False}
RULE = {"dependentRequired": {"a": ["b"]}}
REST, BOTH = {"additionalProperties": WHOLE}, {"additionalProperties": WHOLE, "properties": {"a": TEXT}}
REST_OF = {"additionalProperties": WHOLE, "patternProperties": {"a": TEXT}}
TO_TEXT, TO_WHOLE = ({"contains": {"$ref": "#/$defs/a"}, "$defs": {"a": schema}} for schema in (TEXT, WHOLE))
LIST = {"properties": {"next": {"$ref": "#/$defs/node"}}}

OF_SCHEMAS: list[tuple[Any, Any, str, str]] = [
    ({}, CLOSED, "additional_properties.closed", "/additionalProperties"),
    ({"additionalProperties": TEXT}, CLOSED, "additional_properties.closed", "/additionalProperties"),
    ({}, {"additionalProperties": TEXT}, "additional_properties.constrained", "/additionalProperties"),
    (CLOSED, {}, "additional_properties.opened", "/additionalProperties"),
    ({"additionalProperties": TEXT}, {}, "additional_properties.unconstrained", "/additionalProperties"),
    ({"additionalProperties": NUMBER}, {"additionalProperties": WHOLE}, "type.narrowed", "/additionalProperties/type"),
    ({}, {"allOf": [TEXT]}, "all_of.branch_added", "/allOf/0"),
    ({"allOf": [TEXT, WHOLE]}, {"allOf": [WHOLE]}, "all_of.branch_removed", "/allOf/0"),
    ({"title": "a"}, {"title": "b"}, "annotation.changed", "/title"),
    ({}, {"anyOf": [TEXT]}, "any_of.added", "/anyOf"),
    ({"anyOf": [TEXT]}, {"anyOf": [TEXT, WHOLE]}, "any_of.branch_added", "/anyOf/1"),
    ({"anyOf": [TEXT, WHOLE]}, {"anyOf": [TEXT]}, "any_of.branch_removed", "/anyOf/1"),
    ({"anyOf": [TEXT]}, {}, "any_of.removed", "/anyOf"),
    ({"anyOf": [NUMBER, TEXT]}, {"anyOf": [WHOLE, TEXT]}, "type.narrowed", "/anyOf/0/type"),
    ({"minimum": 3}, {"minimum": 2}, "bound.loosened", "/minimum"),
    ({"maximum": 3}, {}, "bound.loosened", "/maximum"),
    ({}, {"minimum": 3}, "bound.tightened", "/minimum"),
    ({"exclusiveMaximum": 3}, {"exclusiveMaximum": 2}, "bound.tightened", "/exclusiveMaximum"),
    ({}, {"if": TEXT, "then": {"maxLength": 3}}, "condition.added", "/if"),
    ({"if": TEXT, "then": {"maxLength": 3}}, {"if": TEXT, "then": {"maxLength": 4}}, "condition.changed", "/if"),
    ({"if": TEXT, "then": {"maxLength": 3}}, {}, "condition.removed", "/if"),
    ({}, {"const": 1}, "const.added", "/const"),
    ({"const": 1}, {"const": True}, "const.changed", "/const"),
    ({"const": 1}, {}, "const.removed", "/const"),
    ({}, {"contains": TEXT}, "contains.added", "/contains"),
    ({"contains": TEXT}, {"contains": WHOLE}, "contains.changed", "/contains"),
    ({"contains": TEXT}, {}, "contains.removed", "/contains"),
    ({"contains": TEXT, "minContains": 2}, {"contains": TEXT}, "contains_count.loosened", "/minContains"),
    ({"contains": TEXT}, {"contains": TEXT, "maxContains": 2}, "contains_count.tightened", "/maxContains"),
    ({}, {"dependentRequired": {"a": ["b"]}}, "dependency_rule.added", "/dependentRequired"),
    (RULE, {"dependentRequired": {"a": ["c"]}}, "dependency_rule.changed", "/dependentRequired"),
    ({"dependentRequired": {"a": ["b"]}}, {}, "dependency_rule.removed", "/dependentRequired"),
    ({}, {"enum": [1, 2]}, "enum.added", "/enum"),
    ({"enum": [1, 2]}, {}, "enum.removed", "/enum"),
    ({"enum": [1]}, {"enum": [1, 2]}, "enum.value_added", "/enum"),
    ({"enum": [1, 2]}, {"enum": [1]}, "enum.value_removed", "/enum"),
    ({}, {"format": "uuid"}, "format.added", "/format"),
    ({"format": "date"}, {"format": "uuid"}, "format.changed", "/format"),
    ({"format": "uuid"}, {}, "format.removed", "/format"),
    ({}, {"items": TEXT}, "items.constrained", "/items"),
    ({"items": TEXT}, {}, "items.unconstrained", "/items"),
    ({"items": WHOLE}, {"items": NUMBER}, "type.widened", "/items/type"),
    ({"maxItems": 2}, {"maxItems": 3}, "items_count.loosened", "/maxItems"),
    ({"minItems": 2}, {"minItems": 3}, "items_count.tightened", "/minItems"),
    ({"minLength": 2}, {}, "length.loosened", "/minLength"),
    ({}, {"maxLength": 2}, "length.tightened", "/maxLength"),
    ({"multipleOf": 4}, {"multipleOf": 6}, "multiple_of.changed", "/multipleOf"),
    ({"multipleOf": 4}, {"multipleOf": 2}, "multiple_of.loosened", "/multipleOf"),
    ({"multipleOf": 2}, {"multipleOf": 4}, "multiple_of.tightened", "/multipleOf"),
    ({}, {"not": TEXT}, "not.added", "/not"),
    ({"not": TEXT}, {}, "not.removed", "/not"),
    ({}, {"oneOf": [TEXT]}, "one_of.added", "/oneOf"),
    ({"oneOf": [TEXT]}, {"oneOf": [TEXT, {"maxLength": 3}]}, "one_of.branch_added", "/oneOf/1"),
    ({"oneOf": [TEXT, NUMBER]}, {"oneOf": [TEXT, {"maxLength": 3}]}, "one_of.branch_changed", "/oneOf/1"),
    ({"oneOf": [TEXT, {"maxLength": 3}]}, {"oneOf": [TEXT]}, "one_of.branch_removed", "/oneOf/1"),
    ({"oneOf": [TEXT]}, {}, "one_of.removed", "/oneOf"),
    ({}, {"pattern": "a"}, "pattern.added", "/pattern"),
    ({"pattern": "a"}, {"pattern": "b"}, "pattern.changed", "/pattern"),
    ({"pattern": "a"}, {}, "pattern.removed", "/pattern"),
    (REST, REST_OF, "pattern_property.added", "/patternProperties/a"),
    (REST_OF, REST, "pattern_property.removed", "/patternProperties/a"),
    (REST_OF, REST_OF | {"patternProperties": {"a": WHOLE}}, "type.changed", "/patternProperties/a/type"),
    ({"items": WHOLE}, {"prefixItems": [TEXT], "items": WHOLE}, "prefix_item.added", "/prefixItems/0"),
    ({"prefixItems": [TEXT], "items": WHOLE}, {"items": WHOLE}, "prefix_item.removed", "/prefixItems/0"),
    ({"prefixItems": [WHOLE]}, {"prefixItems": [NUMBER]}, "type.widened", "/prefixItems/0/type"),
    ({"minProperties": 1}, {}, "properties_count.loosened", "/minProperties"),
    ({"maxProperties": 3}, {"maxProperties": 2}, "properties_count.tightened", "/maxProperties"),
    (CLOSED, CLOSED | {"properties": {"a": TEXT}}, "property.added_to_closed", "/properties/a"),
    (REST, BOTH, "property.added_to_constrained", "/properties/a"),
    ({}, {"properties": {"a": TEXT}}, "property.added_to_open", "/properties/a"),
    (CLOSED | {"properties": {"a": TEXT}}, CLOSED, "property.removed_from_closed", "/properties/a"),
    (BOTH, REST, "property.removed_from_constrained", "/properties/a"),
    ({"properties": {"a/b": TEXT}}, {}, "property.removed_from_open", "/properties/a~1b"),
    ({}, {"propertyNames": {"maxLength": 3}}, "property_names.added", "/propertyNames"),
    ({"propertyNames": {"maxLength": 3}}, {}, "property_names.removed", "/propertyNames"),
    ({"propertyNames": {"maxLength": 3}}, {"propertyNames": {}}, "length.loosened", "/propertyNames/maxLength"),
    ({}, {"required": ["a"]}, "required.added", "/required"),
    ({"required": ["a"]}, {}, "required.removed", "/required"),
    ({"properties": {"a": {}}}, {"properties": {"a": False}}, "schema.closed", "/properties/a"),
    ({"properties": {"a": False}}, {"properties": {"a": TEXT}}, "schema.opened", "/properties/a"),
    (TO_TEXT, TO_WHOLE, "schema.undecided", ""),
    (TEXT, WHOLE, "type.changed", "/type"),
    (NUMBER, WHOLE, "type.narrowed", "/type"),
    (WHOLE, {"type": ["integer", "null"]}, "type.widened", "/type"),
    ({"unevaluatedItems": TEXT}, {"unevaluatedItems": WHOLE}, "unevaluated.changed", "/unevaluatedItems"),
    ({}, {"unevaluatedProperties": False}, "unevaluated.closed", "/unevaluatedProperties"),
    ({"unevaluatedProperties": False}, {}, "unevaluated.opened", "/unevaluatedProperties"),
    ({"uniqueItems": True}, {}, "unique_items.dropped", "/uniqueItems"),
    ({}, {"uniqueItems": True}, "unique_items.required", "/uniqueItems"),
]


@pytest.mark.parametrize(("old", "new", "code", "pointer"), OF_SCHEMAS)
def test_a_change_of_a_schema_is_named_placed_and_judged_by_the_way_of_its_values(
    old: Any, new: Any, code: str, pointer: str
) -> None:
    for direction in ("input", "output"):
        (found,) = schema_changes(old, new, direction, "/at")
        assert (found.code, found.pointer) == (code, f"/at{pointer}")
        assert found.breaking is KINDS[code][0].is_breaking(direction)
        assert found.why == KINDS[code][1]


def test_the_old_and_new_of_a_change_are_what_differs() -> None:
    (found,) = schema_changes({"enum": ["a", "b"]}, {"enum": ["a"]}, "input")
    assert (found.old, found.new) == ("b", None)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ({"minimum": 3}, {"exclusiveMinimum": 2, "minimum": 3}, "bound.tightened"),
        ({"const": 3}, {"type": "integer", "const": 3}, "type.narrowed"),
        ({}, {"properties": {"a": {}}}, "property.added_to_open"),
        ({"type": "string"}, {"type": "string", "minimum": 3}, "bound.tightened"),
        ({"$ref": "#/$defs/a", "$defs": {"a": TEXT}}, TEXT, "ref.changed"),
        ({}, {"uniqueItems": False, "required": []}, None),
        ({"unevaluatedItems": {}}, {"unevaluatedItems": True}, None),
        ({"then": TEXT}, {"then": WHOLE}, None),
        ({"type": ["string"]}, {"type": "string"}, None),
    ],
)
def test_what_other_words_say_already_breaks_nobody(old: Any, new: Any, code: str | None) -> None:
    found = schema_changes(old, new, "input")

    assert not any(change.breaking for change in found)
    assert code in {change.code for change in found} | {None}


def test_what_is_implied_at_its_place_is_no_breach_beside_one_that_is() -> None:
    old = {"properties": {"a": {"const": 3}, "b": {}}}

    found = schema_changes(old, {"properties": {"a": {"const": 3, "type": "integer"}, "b": TEXT}}, "input")

    assert [(change.pointer, change.breaking) for change in found] == [
        ("/properties/a/type", False),
        ("/properties/b/type", True),
    ]


def test_a_reference_that_comes_or_goes_is_judged_by_what_it_leads_to() -> None:
    found = schema_changes({"$ref": "#/$defs/a", "$defs": {"a": TEXT}}, WHOLE, "input")

    assert [(change.code, change.breaking) for change in found] == [("type.narrowed", True), ("ref.changed", True)]


def test_below_a_not_narrowing_is_widening() -> None:
    (found,) = schema_changes({"not": NUMBER}, {"not": WHOLE}, "input")
    assert (found.code, found.breaking) == ("type.narrowed", False)
    assert schema_changes({"not": NUMBER}, {"not": WHOLE}, "output")[0].breaking


def test_a_schema_that_refers_to_itself_is_looked_at_once() -> None:
    old = {"$ref": "#/$defs/node", "$defs": {"node": LIST}}
    new = {"$ref": "#/$defs/node", "$defs": {"node": LIST | {"required": ["next"]}}}

    (found,) = schema_changes(old, new, "input")

    assert (found.code, found.pointer, found.breaking) == ("required.added", "/$defs/node/required", True)


def test_true_and_false_are_schemas() -> None:
    assert schema_changes(True, TEXT, "input")[0].code == "type.narrowed"  # noqa: FBT003
    assert not schema_changes(False, False, "input")  # noqa: FBT003


STEP = {"name": "a", "retry": {"max_attempts": 2}, "timeout": "30s"}
OLD: dict[str, Any] = {"name": "t", "version": "1.0.0", "steps": [STEP, {"name": "b", "depends_on": ["a"]}]}


def of_step(**words: Any) -> dict[str, Any]:
    return {"steps": [STEP | words, *OLD["steps"][1:]]}


OF_TEMPLATES: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({}, of_step(retry={"max_attempts": 1}), "attempts.lowered", "/steps/0/retry/max_attempts"),
    ({}, of_step(retry={"max_attempts": 3}), "attempts.raised", "/steps/0/retry/max_attempts"),
    ({}, of_step(retry={"max_attempts": 2, "initial": "2s"}), "backoff.changed", "/steps/0/retry/initial"),
    ({}, {"timeout": "1h"}, "deadline.added", "/timeout"),
    ({"timeout": "1h"}, {"timeout": "2h"}, "deadline.lengthened", "/timeout"),
    ({"timeout": "1h"}, {}, "deadline.removed", "/timeout"),
    ({"timeout": "2h"}, {"timeout": "1h"}, "deadline.shortened", "/timeout"),
    ({"steps": [STEP, {"name": "b"}]}, {}, "dependency.added", "/steps/1/depends_on"),
    ({}, {"steps": [STEP, {"name": "b"}]}, "dependency.removed", "/steps/1/depends_on"),
    ({}, {"description": "new"}, "description.changed", "/description"),
    ({}, of_step(description="new"), "description.changed", "/steps/0/description"),
    ({}, of_step(handler="x.y", queue="default.a"), "handler.changed", "/steps/0/handler"),
    ({}, of_step(queue="x.y"), "queue.changed", "/steps/0/queue"),
    ({}, {"context_schema": TEXT}, "schema.declared", "/context_schema"),
    ({}, of_step(result_schema=TEXT), "schema.declared", "/steps/0/result_schema"),
    (of_step(input_schema={}), {}, "schema.withdrawn", "/steps/0/input_schema"),
    (of_step(error_schema=WHOLE), of_step(error_schema=NUMBER), "type.widened", "/steps/0/error_schema/type"),
    ({}, of_step(skippable=True), "skippable.added", "/steps/0/skippable"),
    (of_step(skippable=True), {}, "skippable.removed", "/steps/0/skippable"),
    ({}, {"steps": [*OLD["steps"], {"name": "c", "handler": "default.a"}]}, "step.added", "/steps/2"),
    ({"steps": [*OLD["steps"], {"name": "c"}]}, {}, "step.removed", "/steps/2"),
    (
        {"steps": [STEP, {"name": "b", "handler": "x.b", "depends_on": ["a"]}]},
        {"steps": [STEP, {"name": "c", "handler": "x.b", "depends_on": ["a"]}]},
        "step.renamed",
        "/steps/1/name",
    ),
    ({}, {"name": "other"}, "template.renamed", "/name"),
    ({}, of_step(timeout="1m"), "timeout.lengthened", "/steps/0/timeout"),
    ({}, of_step(timeout="1s"), "timeout.shortened", "/steps/0/timeout"),
]


@pytest.mark.parametrize(("before", "after", "code", "pointer"), OF_TEMPLATES)
def test_a_change_of_a_template_is_named_and_placed(
    before: dict[str, Any], after: dict[str, Any], code: str, pointer: str
) -> None:
    (found,) = template_changes(from_mapping(OLD | before), from_mapping(OLD | after | {"version": "1.1.0"}))

    assert (found.code, found.pointer) == (code, pointer)


@pytest.mark.parametrize(("needed", "is_breaking"), [(TEXT, False), (TEXT | {"maxLength": 3}, True)])
def test_a_need_that_tasks_of_the_old_template_meet_breaks_none(needed: Any, is_breaking: bool) -> None:  # noqa: FBT001
    needs = {"properties": {"results": {"properties": {"a": needed}}}}
    old = OLD | of_step(result_schema=TEXT)
    given = TEXT | {"maxLength": 3}
    new = OLD | {
        "version": "1.1.0",
        "steps": [STEP | {"result_schema": given}, {"name": "b", "depends_on": ["a"], "input_schema": needs}],
    }

    found = {change.code: change.breaking for change in template_changes(from_mapping(old), from_mapping(new))}

    assert found == {"length.tightened": False, "schema.declared": is_breaking}


def test_a_step_with_a_handler_that_is_new_needs_a_worker() -> None:
    new = from_mapping(OLD | {"version": "1.1.0", "steps": [*OLD["steps"], {"name": "c"}]})

    assert [change.code for change in template_changes(from_mapping(OLD), new)] == ["step.added", "handler.introduced"]


def test_a_dependency_on_a_step_that_was_renamed_is_the_same() -> None:
    steps = [{"name": "a", "handler": "x.a"}, {"name": "b", "depends_on": ["a"]}]
    renamed = [{"name": "z", "handler": "x.a"}, {"name": "b", "depends_on": ["z"]}]
    old, new = from_mapping(OLD | {"steps": steps}), from_mapping(OLD | {"steps": renamed, "version": "1.1.0"})

    assert [change.code for change in template_changes(old, new)] == ["step.renamed"]


def test_a_template_that_differs_has_a_higher_version() -> None:
    same, lower = from_mapping(OLD), from_mapping(OLD | {"version": "0.9.0", "description": "new"})

    assert not template_changes(same, same)
    assert [change.code for change in template_changes(same, lower)] == ["description.changed", "version.not_raised"]


def test_every_kind_of_the_catalogue_is_shown_by_an_example() -> None:
    shown = {code for _, _, code, _ in OF_SCHEMAS} | {code for _, _, code, _ in OF_TEMPLATES}

    assert len(KINDS) >= 30
    assert KINDS.keys() - shown == {
        "document.added",
        "document.removed",
        "handler.introduced",
        "ref.changed",
        "version.not_raised",
    }


def found(old: dict[str, Document], new: dict[str, Document]) -> list[tuple[str, str, bool]]:
    return [(path, change.code, change.breaking) for path, change in document_changes(old, new)]


def test_documents_are_compared_by_their_paths() -> None:
    template = from_mapping(OLD)
    old: dict[str, Document] = {"gone.json": True, "a/input.json": NUMBER, "a/result.json": NUMBER, "t.yaml": template}
    new: dict[str, Document] = {"come.json": True, "a/input.json": WHOLE, "a/result.json": WHOLE, "t.yaml": template}

    assert found(old, new) == [
        ("a/input.json", "type.narrowed", True),
        ("a/result.json", "type.narrowed", False),
        ("come.json", "document.added", False),
        ("gone.json", "document.removed", True),
    ]
    assert [change.breaking for _, change in document_changes({"a": NUMBER}, {"a": WHOLE}, "output")] == [False]


@pytest.mark.parametrize(
    ("path", "direction"),
    [
        ("messages/task.requested.v1.json", "input"),
        ("messages/step.completed.v1.json", "input"),
        ("messages/step.requested.v1.json", "output"),
        ("handlers/orders.check/input.json", "input"),
        ("handlers/orders.check/result.json", "output"),
        ("error.json", "output"),
        ("orders.result_schema.json", "output"),
        ("schema.json", "input"),
    ],
)
def test_which_way_values_go_is_said_by_the_name(path: str, direction: str) -> None:
    assert direction_of(path) == direction


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [(from_mapping(OLD), True, "template.type"), (True, {"type": "wrong"}, "schema.invalid")],
)
def test_what_can_not_be_compared_is_refused(old: Document, new: Document, code: str) -> None:
    with pytest.raises(Refused) as caught:
        list(document_changes({"a": old}, {"a": new}))

    assert caught.value.problems[0].code == code
