"""The edges of a template: what a step declares to need is held against what its dependencies declare to give."""

from typing import Any

import pytest

from stepbus.contracts.problems import Problem, Refused
from stepbus.contracts.template import check, edge_findings, edges, from_mapping

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}


def needing(name: str, schema: Any) -> dict[str, Any]:
    """Give the need of something of one result."""
    return {"properties": {"results": {"properties": {name: schema}}}}


def template(needs: Any, gives: Any = None, context: Any = None, **first: Any) -> dict[str, Any]:
    """Give a template of two steps: what the second needs, and what the first and the context give."""
    steps = [{"name": "a", **first}, {"name": "b", "depends_on": ["a"], "input_schema": needs}]
    if gives is not None:
        steps[0]["result_schema"] = gives
    document = {"name": "t", "version": "1.0.0", "steps": steps}
    return document if context is None else document | {"context_schema": context}


def refused(document: dict[str, Any]) -> list[Problem]:
    with pytest.raises(Refused) as caught:
        from_mapping(document)
    return list(caught.value.problems)


def warned(document: dict[str, Any]) -> list[tuple[str, str]]:
    findings = edge_findings(from_mapping(document))
    assert not findings.errors
    return [(problem.code, problem.pointer) for problem in findings.warnings]


@pytest.mark.parametrize(
    "document",
    [
        template(needing("a", {"type": "number"}), WHOLE),
        template(needing("a", {"required": ["x"]}), {"type": "object", "required": ["x", "y"]}),
        template({"properties": {"context": {"required": ["x"]}}}, context={"required": ["x"]}),
        template(
            {"$ref": "#/$defs/in", "$defs": {"in": needing("a", TEXT)}}, {"$ref": "#/$defs/t", "$defs": {"t": TEXT}}
        ),
        template(
            {"type": "object", "required": ["context", "results"], "properties": {"results": {"required": ["a"]}}}
        ),
        template({"properties": {"results": {"additionalProperties": WHOLE}}}, WHOLE),
        template({}, {"type": "null"}),
        template({"properties": {"context": {"type": "object"}}}),
    ],
)
def test_what_fits_is_registered_without_a_word(document: dict[str, Any]) -> None:
    assert not warned(document)


def test_what_can_not_fit_is_refused_with_a_value_that_shows_it() -> None:
    (problem,) = refused(template(needing("a", {"required": ["total"]}), {"type": "object"}))

    assert (problem.code, problem.pointer) == ("template.edge", "/steps/1/input_schema/properties/results/properties/a")
    assert problem.message == (
        "expected the result of 'a' to be what is needed, but its schema allows {}: "
        "expected the key 'total', found none at /"
    )


def test_the_context_is_held_against_what_is_needed_of_it() -> None:
    (problem,) = refused(
        template({"properties": {"context": {"required": ["x"]}}}, context={"properties": {"x": TEXT}})
    )

    assert problem.pointer == "/steps/1/input_schema/properties/context"
    assert "the task's context" in problem.message


def test_a_large_value_is_shown_in_part() -> None:
    long = {"enum": ["x" * 500]}

    (problem,) = refused(template(needing("a", {"maxLength": 3}), long))

    assert "x..." in problem.message


def test_a_need_of_a_step_that_is_no_dependency_is_refused() -> None:
    (problem,) = refused(template({"properties": {"results": {"required": ["c"]}}}))

    assert (problem.code, problem.pointer) == ("template.edge_unknown", "/steps/1/input_schema/properties/results")


def test_lines_are_told_where_the_template_is_text() -> None:
    text = """
name: t
version: 1.0.0
steps:
  - name: a
    result_schema: {type: string}
  - name: b
    depends_on: [a]
    input_schema:
      properties:
        results:
          properties:
            a: {type: integer}
"""
    with pytest.raises(Refused) as caught:
        check(text, "yaml")

    assert [(problem.code, problem.line) for problem in caught.value.problems] == [("template.edge", 13)]


def test_an_edge_of_an_environment_is_refused_once_and_with_its_name() -> None:
    steps = [{"name": "a", "result_schema": TEXT}]
    document = template(needing("a", TEXT), TEXT) | {
        "environments": {"one": {"steps": [{"name": "a", "result_schema": WHOLE}]}, "two": {"steps": steps}}
    }
    (problem,) = refused(document)
    assert problem.message.endswith("in the environment 'one'")

    everywhere = template(needing("a", WHOLE), TEXT) | {"environments": {"one": {}}}
    assert len(refused(everywhere)) == 1


@pytest.mark.parametrize(
    ("document", "code", "pointer"),
    [
        (template(needing("a", TEXT)), "template.edge_undeclared", "/properties/results/properties/a"),
        (
            template({"properties": {"context": {"required": ["x"]}}}, TEXT),
            "template.edge_undeclared",
            "/properties/context",
        ),
        (
            template(needing("a", {"pattern": "^[a-z]*$"}), {"type": "string", "pattern": "^[f-h]{9}$"}),
            "template.edge_open",
            "/properties/results/properties/a",
        ),
        (template({"not": needing("a", {"const": "zzz"})}, TEXT), "template.edge_open", ""),
        (
            template(
                {
                    "properties": {"context": {"required": ["x"]}, **needing("a", TEXT)["properties"]},
                    "required": ["results"],
                },
                TEXT,
            ),
            "template.edge_undeclared",
            "/properties/context",
        ),
        (
            template({"properties": {"context": {"required": ["x"]}, "results": {"required": ["a"]}}}),
            "template.edge_undeclared",
            "/properties/context",
        ),
        (
            template({"properties": {"context": {}, **needing("a", TEXT)["properties"]}}),
            "template.edge_undeclared",
            "/properties/results/properties/a",
        ),
        (
            template({"properties": {"results": {"required": ["a"]}}}, skippable=True),
            "template.edge_skippable",
            "/properties/results",
        ),
    ],
)
def test_what_can_not_be_told_is_a_warning(document: dict[str, Any], code: str, pointer: str) -> None:
    assert warned(document) == [(code, f"/steps/1/input_schema{pointer}")]


def test_after_enough_edges_that_may_not_fit_the_rest_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges, "MAX_NOT_SHOWN", 1)

    assert [code for code, _ in warned(template(needing("a", TEXT)))] == [
        "template.edge_undeclared",
        "template.edges_unchecked",
    ]


def test_a_need_that_is_no_schema_is_refused() -> None:
    (problem,) = refused(template({"type": "wrong"}))

    assert (problem.code, problem.pointer) == ("schema.invalid", "/steps/1/input_schema/type")
