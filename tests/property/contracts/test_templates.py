"""The check of a template is total: whatever is written, it gives a template or says what is wrong."""

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stepbus.contracts.problems import Refused
from stepbus.contracts.template import TaskTemplate, check, from_mapping, semver_key
from stepbus.contracts.template.duration import format_duration, parse_duration
from stepbus.contracts.template.model import MAX_ATTEMPTS

WHOLE: dict[str, Any] = {
    "name": "process_order",
    "namespace": "ecommerce",
    "version": "1.2.0",
    "description": "Fulfil one order",
    "context_schema": {"type": "object", "properties": {"a": {"pattern": "^x"}}},
    "timeout": "1h",
    "defaults": {"retry": {"max_attempts": 5}, "timeout": "30s"},
    "steps": [
        {"name": "a", "handler": "h.a", "retry": {"backoff": "fixed", "initial": "1s", "max": "2s", "jitter": 0}},
        {"name": "b", "depends_on": ["a"], "queue": "q", "skippable": True, "result_schema": True},
        {
            "name": "c",
            "depends_on": ["a", "b"],
            "timeout": "5m",
            "error_schema": {"$ref": "#/$defs/x", "$defs": {"x": {}}},
        },
    ],
    "environments": {"production": {"timeout": "2h", "steps": [{"name": "b", "retry": {"max_attempts": 1}}]}},
}
NAME = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=3)
ODD: st.SearchStrategy[Any] = (
    st.sampled_from(
        [
            None,
            True,
            0,
            -1,
            1.5,
            "",
            "a",
            "b",
            "1s",
            "0s",
            "1.0.0",
            [],
            {},
            ["a"],
            ["c"],
            [[]],
            {"a": 1},
            "x" * 200,
            10**6,
        ]
    )
    | NAME
)


def parts(value: Any) -> list[tuple[Any, Any]]:
    """Give every container with each key or index in it."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        part = waiting.pop()
        keys = list(part) if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
        found += [(part, key) for key in keys]
        waiting += [part[key] for key in keys]
    return found


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    template = copy.deepcopy(WHOLE)
    for _ in range(draw(st.integers(1, 3))):
        places = parts(template)
        if not places:
            break
        container, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["replace", "remove", "rename", "repeat"])):
            case "replace":
                container[key] = copy.deepcopy(draw(ODD))
            case "remove":
                del container[key]
            case "rename" if isinstance(container, dict):
                container[draw(NAME)] = container.pop(key)
            case "repeat" if isinstance(container, list):
                container.append(copy.deepcopy(container[key]))
            case _:
                pass
    return template


@given(mutated(), st.sampled_from([None, "production", "elsewhere"]))
def test_a_template_changed_in_any_way_is_read_or_refused(template: Any, environment: str | None) -> None:
    try:
        read = from_mapping(template, environment)
    except Refused:
        return
    assert from_mapping(read.canonical()) == read


@given(mutated())
def test_text_and_value_are_told_the_same(template: Any) -> None:
    text = json.dumps(template, ensure_ascii=False)

    assert _codes(lambda: check(text, "yaml")) == _codes(lambda: check(text, "json"))
    assert _codes(lambda: check(text, "json")) == _codes(lambda: from_mapping(template))


def _codes(read: Any) -> list[tuple[str, str]]:
    try:
        read()
    except Refused as refused:
        return sorted((problem.code, problem.pointer) for problem in refused.problems)
    return []


@given(st.dictionaries(st.text(max_size=3), ODD) | ODD)
def test_a_value_of_any_kind_is_refused_in_words(value: Any) -> None:
    assert _codes(lambda: from_mapping(value))


NAMES = [f"s{number}" for number in range(8)]


@given(st.lists(st.lists(st.sampled_from(NAMES), unique=True, max_size=4), min_size=8, max_size=8))
def test_a_graph_is_refused_exactly_where_it_has_a_cycle(needs: list[list[str]]) -> None:
    edges = {name: [need for need in found if need != name] for name, found in zip(NAMES, needs, strict=True)}
    steps = [{"name": name, "depends_on": found} for name, found in edges.items()]

    codes = {code for code, _ in _codes(lambda: from_mapping({"name": "a", "version": "1.0.0", "steps": steps}))}

    assert codes == ({"template.cycle"} if _has_cycle(edges) else set())


def _has_cycle(edges: dict[str, list[str]]) -> bool:
    left = dict(edges)
    while ready := [name for name, needs in left.items() if not any(need in left for need in needs)]:
        for name in ready:
            del left[name]
    return bool(left)


@given(st.integers(0, 10**12))
def test_durations_are_written_and_read_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds)) == milliseconds


NUMBERS = st.integers(0, 30)
LABELS = st.lists(NUMBERS.map(str) | st.from_regex(r"[a-z-][0-9a-z-]{0,3}", fullmatch=True), min_size=1, max_size=3)


@given(
    st.tuples(NUMBERS, NUMBERS, NUMBERS), st.none() | LABELS, st.tuples(NUMBERS, NUMBERS, NUMBERS), st.none() | LABELS
)
def test_versions_are_in_one_order(
    one: tuple[int, ...], one_labels: list[str] | None, other: tuple[int, ...], other_labels: list[str] | None
) -> None:
    first, second = _version(one, one_labels), _version(other, other_labels)

    assert (semver_key(first) == semver_key(second)) == (first == second)
    if one != other:
        assert (semver_key(first) < semver_key(second)) == (one < other)
    elif one_labels and not other_labels:
        assert semver_key(first) < semver_key(second)


def _version(numbers: tuple[int, ...], labels: list[str] | None) -> str:
    return ".".join(map(str, numbers)) + (f"-{'.'.join(labels)}" if labels else "")


@given(st.integers(1, MAX_ATTEMPTS), st.sampled_from(["fixed", "linear", "exponential"]), st.integers(0, 10**6))
def test_a_template_is_known_by_what_it_says(attempts: int, backoff: str, initial: int) -> None:
    retry = {"max_attempts": attempts, "backoff": backoff, "initial": format_duration(initial), "max": "1d"}
    document = {"name": "a", "version": "1.0.0", "steps": [{"name": "s", "retry": retry}]}

    template = from_mapping(document)

    assert TaskTemplate.model_validate(template.canonical()).hash == template.hash == from_mapping(document).hash
