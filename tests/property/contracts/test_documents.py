"""Text of any kind gives a document: a value, its problems, and lines that lie in it."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from stepbus.contracts.document import MAX_DEPTH, MAX_INTEGER, Document, read_json, read_yaml

TEXT = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=12)  # what both print as it is
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)
# fmt: off
FRAGMENTS = st.sampled_from([
    "a", "b", ": ", ":\n", "- ", "\n", "\n", "  ", " ", "[", "]", "{", "}", ", ", "&x ", "*x", "!!str ", "! ",
    "? ", "---\n", "...\n", "%YAML 1.1\n", "'", '"', "|\n", ">\n", "#", "<<", "1", ".nan", "0x1F", "1e999",
    "\t", "\u0000", "\u0007", "\u00e9", "\ud800", "\ufeff", "\\", "\\x", "\u0085", "\u2028",
])
# fmt: on
NEARLY_YAML = st.lists(FRAGMENTS, max_size=25).map("".join)
NEARLY_JSON = st.text(st.sampled_from('{}[]:,"\\ \n1-.eEtrufalsn\0é\ud800'), max_size=30)


def is_sound(document: Document, text: str) -> None:
    lines = text.count("\n") + text.count("\x85") + text.count("\u2028") + text.count("\r") + 2
    for problem in document.problems:
        assert problem.line is not None
        assert 1 <= problem.line <= lines
        assert 1 <= document.line_of(problem.pointer) <= lines
    assert document.whole or document.problems


@given(st.text(max_size=40) | NEARLY_JSON)
@example("\ud800")
@example("[" * 1_000)
def test_any_text_gives_a_document_as_json(text: str) -> None:
    is_sound(read_json(text), text)


@given(st.text(max_size=40) | NEARLY_YAML)
@example("\ud800")
@example("- " * 1_000)
@example('"\\UFFFFFFFF"')
def test_any_text_gives_a_document_as_yaml(text: str) -> None:
    is_sound(read_yaml(text), text)


@given(VALUES)
def test_json_is_yaml(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)

    from_json, from_yaml = read_json(text), read_yaml(text)

    assert from_json.problems == from_yaml.problems == ()
    assert from_json.value == from_yaml.value == value


@given(VALUES)
def test_every_part_has_a_line_and_lines_do_not_fall(value: Any) -> None:
    document = read_json(json.dumps(value, indent=1))

    lines = [document.line_of(pointer) for pointer in _pointers(value, "")]
    assert lines == sorted(lines)


@given(st.integers(1, 2 * MAX_DEPTH), st.sampled_from(["[", '{"a":']))
def test_depth_is_counted_alike(depth: int, bracket: str) -> None:
    text = bracket * depth + "1" + ("]" if bracket == "[" else "}") * depth

    for document in (read_json(text), read_yaml(text)):
        assert bool(document.problems) == (depth > MAX_DEPTH)


def _pointers(value: Any, pointer: str) -> list[str]:
    if isinstance(value, dict):
        parts = {key.replace("~", "~0").replace("/", "~1"): part for key, part in value.items()}
    elif isinstance(value, list):
        parts = {str(index): part for index, part in enumerate(value)}
    else:
        parts = {}
    return [pointer, *(below for token, part in parts.items() for below in _pointers(part, f"{pointer}/{token}"))]
