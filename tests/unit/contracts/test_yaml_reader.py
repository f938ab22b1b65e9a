"""YAML text as far as JSON has it: what plain words mean, and what may not be written."""

import pytest
import yaml

from stepbus.contracts.document import MAX_DEPTH, MAX_INTEGER, read_yaml

PLAIN = [
    ("on", "on"),
    ("no", "no"),
    ("yes", "yes"),
    ("Off", "Off"),
    ("true", True),
    ("True", True),
    ("FALSE", False),
    ("null", None),
    ("~", None),
    ("", None),
    ("Null", None),
    ("nULL", "nULL"),
    ("0o17", 15),
    ("0x1F", 31),
    ("0b11", "0b11"),
    ("012", 12),
    ("+12", 12),
    ("-12", -12),
    ("1_000", "1_000"),
    ("1:30", "1:30"),
    ("2024-01-01", "2024-01-01"),
    ("1.", 1.0),
    (".5", 0.5),
    ("-1.5e3", -1500.0),
    ("1e3", 1000.0),
    ("1.2.3", "1.2.3"),
    ("'1'", "1"),
    ('"true"', "true"),
    (str(MAX_INTEGER), MAX_INTEGER),
]
HOSTILE = [
    ("a: 1\na: 2", "yaml.duplicate_key", "/a", 2),
    ("a: &x 1", "yaml.anchor", "/a", 1),
    ("a: *x", "yaml.alias", "/a", 1),
    ("- 1\n- *x", "yaml.alias", "/1", 2),
    ("*x : 1", "yaml.alias", "/", 1),
    ("a: !!str 1", "yaml.tag", "/a", 1),
    ("a: ! b", "yaml.tag", "/a", 1),
    ("a: !python/object:os.system x", "yaml.tag", "/a", 1),
    ("!!map {}", "yaml.tag", "", 1),
    ("1: a", "yaml.key", "/", 1),
    ("true: a", "yaml.key", "/", 1),
    ("a: 1\n? ~\n: b", "yaml.key", "/a", 2),
    ("? [a]\n: b", "yaml.key", "/", 1),
    ("? {a: b}\n: c", "yaml.key", "/", 1),
    ("<<: {}", "yaml.merge_key", "/", 1),
    ("--- 1\n--- 2", "yaml.multiple_documents", "", 2),
    ("%YAML 1.1\n--- no", "yaml.version", "", 1),
    ("a: .nan", "yaml.nan", "/a", 1),
    ("a: -.INF", "yaml.nan", "/a", 1),
    ("a: 1e999", "yaml.number_range", "/a", 1),
    (f"a: {MAX_INTEGER + 1}", "yaml.integer_range", "/a", 1),
    (f"a: -{MAX_INTEGER + 1}", "yaml.integer_range", "/a", 1),
    ("a: 0x" + "f" * 5000, "yaml.integer_range", "/a", 1),
    ("a: 0o" + "7" * 30, "yaml.integer_range", "/a", 1),
    ('a:\n  "\\0"', "yaml.nul", "/a", 2),
    ("a: 1\nb: \0", "yaml.nul", "", 2),
    ("a: \ud800", "yaml.surrogate", "", 1),
    ("é: 1\nb: \x07", "yaml.malformed", "", 2),
    ("a: [1, 2", "yaml.malformed", "/a/2", 2),
    ("a: b: c", "yaml.malformed", "/a", 1),
    ("\ta: 1", "yaml.malformed", "", 1),
    ('a: "\\x"', "yaml.malformed", "/a", 1),
    ("%YAML 3.1\n---\na", "yaml.malformed", "", 1),
    ("[" * (MAX_DEPTH + 1), "yaml.depth", "/0" * MAX_DEPTH, 1),
    ("- " * (MAX_DEPTH + 1) + "a", "yaml.depth", "/0" * MAX_DEPTH, 1),
]


@pytest.mark.parametrize(("text", "value"), PLAIN)
def test_plain_words_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    document = read_yaml(f"a: {text}")

    assert document.problems == ()
    assert document.value == {"a": value}
    assert type(document.value["a"]) is type(value)


@pytest.mark.parametrize(("text", "code", "pointer", "line"), HOSTILE)
def test_what_a_text_hides_or_readers_disagree_about_is_refused(text: str, code: str, pointer: str, line: int) -> None:
    problems = read_yaml(text).problems

    assert [(problem.code, problem.pointer, problem.line) for problem in problems] == [(code, pointer, line)]


@pytest.mark.parametrize(("text", "code", "pointer", "line"), HOSTILE)
def test_without_the_parser_in_c_the_same_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str, code: str, pointer: str, line: int
) -> None:
    monkeypatch.delattr(yaml, "CSafeLoader")

    problems = read_yaml(text).problems

    assert [problem.code for problem in problems] == [code]
    assert [problem.pointer for problem in problems] == [pointer]
    assert line


def test_without_the_parser_in_c_an_escape_beyond_the_last_character_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = 'a: "\\UFFFFFFFF"'
    assert [problem.code for problem in read_yaml(text).problems] == ["yaml.malformed"]

    monkeypatch.delattr(yaml, "CSafeLoader")

    assert [problem.code for problem in read_yaml(text).problems] == ["yaml.malformed"]


def test_an_empty_text_is_null() -> None:
    document = read_yaml("# nothing\n")

    assert (document.value, document.problems, document.whole) == (None, (), True)


def test_a_text_may_begin_with_a_byte_order_mark() -> None:
    assert read_yaml("\ufeffa: 1").value == {"a": 1}


def test_blocks_and_flows_give_the_same_value() -> None:
    block = read_yaml("a:\n  - b: 1\n    c: |\n      text\n  - {}\n")
    flow = read_yaml('{a: [{b: 1, c: "text\\n"}, {}]}')

    assert block.problems == flow.problems == ()
    assert block.value == flow.value == {"a": [{"b": 1, "c": "text\n"}, {}]}


def test_all_that_is_wrong_is_told_at_once_and_the_rest_is_read() -> None:
    document = read_yaml("a: &x 1\nb: *x\nc: !!str d\n1: e\nc: f\n")

    assert document.whole
    assert [(problem.code, problem.line) for problem in document.problems] == [
        ("yaml.anchor", 1),
        ("yaml.alias", 2),
        ("yaml.tag", 3),
        ("yaml.key", 4),
        ("yaml.duplicate_key", 5),
    ]
    assert document.value == {"a": 1, "b": None, "c": "d", "1": "e"}


def test_a_malformed_text_ends_the_reading() -> None:
    document = read_yaml("a: 1\nb: [")

    assert not document.whole
    assert document.value == {"a": 1, "b": []}


def test_every_part_knows_its_line() -> None:
    document = read_yaml("a:\n  - 1\n  - b: c\n    d:\n      - e\n")

    assert document.line_of("/a") == 1
    assert document.line_of("/a/1") == 3
    assert document.line_of("/a/1/d") == 4
    assert document.line_of("/a/1/d/0") == 5
    assert document.line_of("/a/1/missing") == 3
