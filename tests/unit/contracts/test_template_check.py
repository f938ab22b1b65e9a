"""The check of a template: what is refused, where, on which line, and in which words."""

import json
from typing import Any

import pytest

from stepbus.contracts.problems import Problem, Refused
from stepbus.contracts.template import MAX_DOCUMENT_BYTES, MAX_EDGES, MAX_STEPS, check, from_mapping

LEAST = {"name": "a", "version": "1.0.0", "steps": [{"name": "s"}]}


def problems(template: Any) -> list[Problem]:
    with pytest.raises(Refused) as refused:
        from_mapping(template)
    return list(refused.value.problems)


def placed(template: Any) -> list[tuple[str, str]]:
    return [(problem.code, problem.pointer) for problem in problems(template)]


def with_step(**keys: Any) -> dict[str, Any]:
    return LEAST | {"steps": [{"name": "s"} | keys]}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in LEAST.items() if name != key}


@pytest.mark.parametrize(
    ("template", "code", "pointer"),
    [
        ([], "template.type", ""),
        (None, "template.type", ""),
        ("text", "template.type", ""),
        (without("name"), "template.missing_key", "/name"),
        (without("version"), "template.missing_key", "/version"),
        (without("steps"), "template.missing_key", "/steps"),
        (LEAST | {"name": 5}, "template.type", "/name"),
        (LEAST | {"name": "a b"}, "template.name", "/name"),
        (LEAST | {"name": "-a"}, "template.name", "/name"),
        (LEAST | {"name": "a" * 65}, "template.name", "/name"),
        (LEAST | {"name": "a\n"}, "template.name", "/name"),
        (LEAST | {"namespace": "a.b"}, "template.name", "/namespace"),
        (LEAST | {"version": "1.0"}, "template.version", "/version"),
        (LEAST | {"version": "01.0.0"}, "template.version", "/version"),
        (LEAST | {"version": "1.0.0-"}, "template.version", "/version"),
        (LEAST | {"version": 1.0}, "template.version", "/version"),
        (LEAST | {"version": "1.0.0-" + "a" * 200}, "template.too_long", "/version"),
        (LEAST | {"description": "a" * 5000}, "template.too_long", "/description"),
        (LEAST | {"description": None}, "template.type", "/description"),
        (LEAST | {"descriptoin": ""}, "template.unknown_key", "/descriptoin"),
        (LEAST | {"timeout": 30}, "template.duration", "/timeout"),
        (LEAST | {"timeout": "30"}, "template.duration", "/timeout"),
        (LEAST | {"timeout": "0s"}, "template.duration", "/timeout"),
        (LEAST | {"timeout": "366d"}, "template.duration", "/timeout"),
        (LEAST | {"context_schema": "x"}, "template.type", "/context_schema"),
        (LEAST | {"context_schema": {"type": "x"}}, "schema.invalid", "/context_schema/type"),
        (LEAST | {"defaults": []}, "template.type", "/defaults"),
        (LEAST | {"defaults": {"retry": 3}}, "template.type", "/defaults/retry"),
        (LEAST | {"defaults": {"retires": {}}}, "template.unknown_key", "/defaults/retires"),
        (LEAST | {"steps": []}, "template.no_steps", "/steps"),
        (LEAST | {"steps": {}}, "template.type", "/steps"),
        (LEAST | {"steps": [5]}, "template.type", "/steps/0"),
        (LEAST | {"steps": [{}]}, "template.missing_key", "/steps/0/name"),
        (LEAST | {"steps": [{"name": "a/b", "handler": "h"}]}, "template.name", "/steps/0/name"),
        (LEAST | {"steps": [{"name": "a" * 129, "handler": "h"}]}, "template.name", "/steps/0/name"),
        (LEAST | {"steps": [{"name": "s"}, {"name": "s"}]}, "template.duplicate_step", "/steps/1/name"),
        (with_step(handler="a..b"), "template.handler", "/steps/0/handler"),
        (with_step(handler=None), "template.type", "/steps/0/handler"),
        (with_step(queue="a b"), "template.handler", "/steps/0/queue"),
        (with_step(handler="a" * 129), "template.too_long", "/steps/0/handler"),
        (LEAST | {"steps": [{"name": "a@b"}]}, "template.handler", "/steps/0"),
        (LEAST | {"namespace": "n" * 64, "steps": [{"name": "a" * 64}]}, "template.handler", "/steps/0"),
        (with_step(depends_on="a"), "template.type", "/steps/0/depends_on"),
        (with_step(depends_on=[5]), "template.type", "/steps/0/depends_on/0"),
        (with_step(depends_on=["s"]), "template.self_dependency", "/steps/0/depends_on/0"),
        (with_step(depends_on=["t"]), "template.unknown_dependency", "/steps/0/depends_on/0"),
        (with_step(skippable="yes"), "template.type", "/steps/0/skippable"),
        (with_step(timeout="1.5s"), "template.duration", "/steps/0/timeout"),
        (with_step(result_schema=5), "template.type", "/steps/0/result_schema"),
        (with_step(error_schema={"$ref": "file:///etc/passwd"}), "schema.remote_ref", "/steps/0/error_schema/$ref"),
        (with_step(retry={"max_attempts": 0}), "template.attempts", "/steps/0/retry/max_attempts"),
        (with_step(retry={"max_attempts": 101}), "template.attempts", "/steps/0/retry/max_attempts"),
        (with_step(retry={"max_attempts": 1.5}), "template.type", "/steps/0/retry/max_attempts"),
        (with_step(retry={"backoff": "random"}), "template.retry", "/steps/0/retry/backoff"),
        (with_step(retry={"factor": 0.5}), "template.retry", "/steps/0/retry/factor"),
        (with_step(retry={"jitter": 1.5}), "template.retry", "/steps/0/retry/jitter"),
        (with_step(retry={"initial": "2s", "max": "1s"}), "template.retry", "/steps/0/retry"),
        (with_step(retry={"max": "forever"}), "template.duration", "/steps/0/retry/max"),
        (LEAST | {"environments": []}, "template.type", "/environments"),
        (LEAST | {"environments": {"a b": {}}}, "template.name", "/environments/a b"),
        (LEAST | {"environments": {"e": []}}, "template.type", "/environments/e"),
        (LEAST | {"environments": {"e": {"stps": []}}}, "template.unknown_key", "/environments/e/stps"),
        (LEAST | {1: 2}, "template.type", "/1"),
    ],
)
def test_what_is_wrong_is_refused_with_its_code_and_place(template: Any, code: str, pointer: str) -> None:
    assert placed(template) == [(code, pointer)]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (LEAST | {"nme": "a"}, "expected a known key, found 'nme'; did you mean 'name'?"),
        (LEAST | {"x": "a"}, "expected a known key, found 'x'"),
        (with_step(timout="1s"), "expected a known key, found 'timout'; did you mean 'timeout'?"),
        (
            with_step(retry={"max_atempts": 1}),
            "expected a known key, found 'max_atempts'; did you mean 'max_attempts'?",
        ),
        (LEAST | {"version": 1.0}, "expected a semantic version such as 1.2.0, found the number 1.0: put it in quotes"),
        (LEAST | {"name": 5}, "expected a text, found the number 5: put it in quotes"),
        (
            LEAST | {"timeout": 30},
            "expected a whole number with its unit, as in 250ms, 30s, 5m, 2h or 3d, found the number 30",
        ),
        (LEAST | {"timeout": "0s"}, 'expected at least 1ms, found the text "0s"'),
        (LEAST | {"timeout": "366d"}, "expected at most 365d, found the number 31622400000"),
        (with_step(depends_on=["t"]), "expected the name of a step, found 't'"),
        (with_step(retry={"max_attempts": 101}), "expected at most 100, found the number 101"),
        (
            with_step(retry={"backoff": "random"}),
            "expected 'fixed', 'linear' or 'exponential', found the text \"random\"",
        ),
    ],
)
def test_the_words_name_what_was_expected_and_what_was_found(template: Any, message: str) -> None:
    assert [problem.message for problem in problems(template)] == [message]


def test_a_misspelt_dependency_is_told_the_nearest_step() -> None:
    (problem,) = problems(LEAST | {"steps": [{"name": "validate_cart"}, {"name": "s", "depends_on": ["validte_cart"]}]})

    assert problem.message == "expected the name of a step, found 'validte_cart'; did you mean 'validate_cart'?"


def test_keys_that_are_no_text_are_refused_wherever_they_stand() -> None:
    template: Any = LEAST | {1: 2, "steps": [{"name": "s", 3: 4}], "environments": {5: {"steps": [{6: 7}]}}}

    with pytest.raises(Refused) as refused:
        from_mapping(template, "production")

    assert [
        (problem.pointer, problem.message) for problem in refused.value.problems if "as key" in problem.message
    ] == [
        ("/steps/0/3", "expected a text as key, found the number 3"),
        ("/environments/5/steps/0/6", "expected a text as key, found the number 6"),
        ("/1", "expected a text as key, found the number 1"),
    ]


def test_a_wrong_step_hides_nothing_that_is_wrong_with_the_others() -> None:
    steps = [
        {"name": 5, "depends_on": ["x"]},
        {"depends_on": "y"},
        "text",
        {"name": "a", "depends_on": ["b", "b", "zz"]},
        {"name": "b", "depends_on": ["a"], "retry": "often"},
    ]

    assert placed(LEAST | {"steps": steps}) == [
        ("template.type", "/steps/0/name"),
        ("template.missing_key", "/steps/1/name"),
        ("template.type", "/steps/1/depends_on"),
        ("template.type", "/steps/2"),
        ("template.type", "/steps/4/retry"),
        ("template.duplicate_dependency", "/steps/3/depends_on/1"),
        ("template.unknown_dependency", "/steps/3/depends_on/2"),
        ("template.cycle", "/steps/3/depends_on/0"),
    ]


def test_in_a_text_every_problem_has_its_line_and_they_stand_in_order() -> None:
    text = """\
name: process_order
vesion: 1.0.0
steps:
  - name: a
    depends_on:
      - b
      - nowhere
    retry: {max_attempts: 200}
  - name: b
    depends_on: [a]
    result_schema:
      type: object
      properties:
        x: {pattern: "(?=a)"}
"""
    with pytest.raises(Refused) as refused:
        check(text, "yaml")

    assert [(problem.line, problem.code, problem.pointer) for problem in refused.value.problems] == [
        (1, "template.missing_key", "/version"),
        (2, "template.unknown_key", "/vesion"),
        (6, "template.cycle", "/steps/0/depends_on/0"),
        (7, "template.unknown_dependency", "/steps/0/depends_on/1"),
        (8, "template.attempts", "/steps/0/retry/max_attempts"),
        (14, "schema.pattern", "/steps/1/result_schema/properties/x/pattern"),
    ]


def test_what_could_not_be_read_is_told_once_and_the_rest_is_checked() -> None:
    text = "name: a\nversion: *v\nsteps:\n  - name: s\n    name: t\n    depends_on: [u]\n"

    with pytest.raises(Refused) as refused:
        check(text, "yaml")

    assert [(problem.code, problem.line) for problem in refused.value.problems] == [
        ("yaml.alias", 2),
        ("yaml.duplicate_key", 5),
        ("template.unknown_dependency", 6),
    ]


def test_of_a_text_that_breaks_off_only_the_break_is_told() -> None:
    with pytest.raises(Refused) as refused:
        check('{"name": "a",\n "version": }', "json")

    assert [(problem.code, problem.line) for problem in refused.value.problems] == [("json.malformed", 2)]


@pytest.mark.parametrize("format_", ["yaml", "json"])
def test_text_and_bytes_give_the_same_template(format_: Any) -> None:
    text = json.dumps(LEAST)

    assert check(text, format_) == check(text.encode(), format_) == from_mapping(LEAST)


@pytest.mark.parametrize("format_", ["yaml", "json"])
def test_bytes_that_are_not_utf_8_are_refused_with_their_line(format_: Any) -> None:
    with pytest.raises(Refused) as refused:
        check(b'{\n"name": "\xff"}', format_)

    assert [(problem.code, problem.line) for problem in refused.value.problems] == [(f"{format_}.encoding", 2)]


def test_a_text_that_is_too_large_is_not_read() -> None:
    with pytest.raises(Refused) as refused:
        check(" " * (MAX_DOCUMENT_BYTES + 1), "yaml")

    assert [problem.code for problem in refused.value.problems] == ["template.too_large"]


def test_a_template_has_a_most_of_steps() -> None:
    steps = [{"name": f"s{number}"} for number in range(MAX_STEPS)]

    assert len(from_mapping(LEAST | {"steps": steps}).steps) == MAX_STEPS
    assert placed(LEAST | {"steps": [*steps, {"name": "more"}]}) == [("template.too_many_steps", "/steps")]


def test_a_template_has_a_most_of_dependencies() -> None:
    names = [f"s{number}" for number in range(100)]
    first = [{"name": name} for name in names]
    behind = [{"name": f"t{number}", "depends_on": names} for number in range(MAX_EDGES // 100)]

    assert len(from_mapping(LEAST | {"steps": first + behind}).steps) == len(first + behind)
    more = [*first, *behind, {"name": "more", "depends_on": ["s0"]}]
    assert placed(LEAST | {"steps": more}) == [("template.too_many_edges", "/steps")]


def test_a_template_has_a_most_of_environments() -> None:
    environments: dict[str, object] = {f"e{number}": {} for number in range(33)}

    assert placed(LEAST | {"environments": environments}) == [("template.too_many_environments", "/environments")]


def test_of_very_many_problems_the_first_are_told_and_the_rest_counted() -> None:
    found = problems(LEAST | {"steps": [{"name": f"s{number}", "depends_on": ["t"]} for number in range(1500)]})

    assert len(found) == 1001
    assert found[-1].code == "template.too_many_problems"
    assert found[-1].message == "expected fewer problems, found 500 more"
