"""Dependencies between steps: cycles are shown, and no graph is too deep to be looked at."""

import json
from collections.abc import Iterable

import pytest

from stepbus.contracts.problems import Problem, Refused
from stepbus.contracts.template import TaskTemplate, check, from_mapping

Edges = dict[str, list[str]]


def template(edges: Edges) -> dict[str, object]:
    steps = [{"name": name, "depends_on": needs} for name, needs in edges.items()]
    return {"name": "a", "version": "1.0.0", "steps": steps}


def cycles(edges: Edges) -> list[Problem]:
    with pytest.raises(Refused) as refused:
        from_mapping(template(edges))
    assert {problem.code for problem in refused.value.problems} == {"template.cycle"}
    return list(refused.value.problems)


def shown(edges: Edges) -> list[str]:
    return [problem.message.removeprefix("expected dependencies without a cycle, found ") for problem in cycles(edges)]


def as_yaml(edges: Iterable[tuple[str, list[str]]]) -> str:
    return "name: a\nversion: 1.0.0\nsteps:\n" + "".join(
        f"  - name: {name}\n    depends_on: {json.dumps(needs)}\n" for name, needs in edges
    )


def test_a_cycle_is_shown_whole_each_step_before_what_it_depends_on() -> None:
    assert shown({"a": ["b"], "b": ["c"], "c": ["a"]}) == ["a -> b -> c -> a"]


def test_a_cycle_has_the_place_of_the_dependency_that_leads_into_it() -> None:
    (problem,) = cycles({"root": [], "b": ["root", "c"], "c": ["b"]})

    assert problem.pointer == "/steps/1/depends_on/1"


def test_each_knot_of_cycles_is_told_once_by_a_shortest_cycle() -> None:
    edges = {"a": ["b"], "b": ["c", "a"], "c": ["a"], "d": ["e", "a"], "e": ["d"], "f": ["e"]}

    assert shown(edges) == ["a -> b -> a", "d -> e -> d"]


def test_what_only_stands_behind_a_cycle_is_not_in_it() -> None:
    assert shown({"a": ["b"], "b": ["a"], "behind": ["a"], "further": ["behind"]}) == ["a -> b -> a"]


def test_a_long_cycle_is_shortened_in_the_middle() -> None:
    edges = {f"s{number}": [f"s{(number + 1) % 10_000}"] for number in range(10_000)}

    assert shown(edges) == ["s0 -> s1 -> s2 -> s3 -> s4 -> (9993 more) -> s9998 -> s9999 -> s0"]


def test_a_dependency_on_itself_is_told_as_such_and_is_no_cycle() -> None:
    with pytest.raises(Refused) as refused:
        from_mapping(template({"a": ["a", "b"], "b": []}))

    assert [problem.code for problem in refused.value.problems] == ["template.self_dependency"]


def test_a_step_may_be_written_before_what_it_depends_on() -> None:
    assert [step.name for step in from_mapping(template({"b": ["a"], "a": []})).steps] == ["b", "a"]


@pytest.mark.parametrize(
    "edges",
    [
        [(f"s{number}", [f"s{number - 1}"] if number else []) for number in range(6_000)],
        [(f"s{number}", [f"s{number + 1}"] if number < 5_999 else []) for number in range(6_000)],
        [*((f"root{number}", []) for number in range(1_100)), ("join", [f"root{number}" for number in range(1_100)])],
        [(f"s{number}", [f"s{before}" for before in range(max(0, number - 4), number)]) for number in range(1_000)],
    ],
    ids=["chain", "chain from its end", "wide join", "dense"],
)
def test_large_templates_are_read_whole(edges: list[tuple[str, list[str]]]) -> None:
    checked: TaskTemplate = check(as_yaml(edges), "yaml")

    assert [(step.name, list(step.depends_on)) for step in checked.steps] == edges
