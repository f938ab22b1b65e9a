"""What JSON text may not say, each with its code, its place and its line."""

import pytest

from stepbus.contracts.document import MAX_DEPTH, MAX_INTEGER, read_json

HOSTILE = [
    ('{"a": 1, "a": 2}', "json.duplicate_key", "/a"),
    ('{"a": {"b": 1, "c": 2, "b": 3}}', "json.duplicate_key", "/a/b"),
    ('{"a": 1, "\\u0061": 2}', "json.duplicate_key", "/a"),
    ("NaN", "json.nan", ""),
    ("[1, Infinity]", "json.nan", "/1"),
    ('{"a": -Infinity}', "json.nan", "/a"),
    ("1e400", "json.number_range", ""),
    ("[-1e999]", "json.number_range", "/0"),
    (str(MAX_INTEGER + 1), "json.integer_range", ""),
    (str(-MAX_INTEGER - 1), "json.integer_range", ""),
    ("[" + "9" * 5000 + "]", "json.integer_range", "/0"),
    ('"\\ud800"', "json.surrogate", ""),
    ('["\\udc00\\ud800"]', "json.surrogate", "/0"),
    ('"\ud800"', "json.surrogate", ""),
    ('{"\\ud800": 1}', "json.surrogate", "/\ufffd"),
    ('"a\\u0000b"', "json.nul", ""),
    ('{"\\u0000": 1}', "json.nul", "/\ufffd"),
    ("[" * (MAX_DEPTH + 1), "json.depth", "/0" * MAX_DEPTH),
    ("[" * 100_000, "json.depth", "/0" * MAX_DEPTH),
    ('{"a":' * (MAX_DEPTH + 1), "json.depth", "/a" * MAX_DEPTH),
    ("", "json.malformed", ""),
    ("  \n ", "json.malformed", ""),
    ("\ufeff{}", "json.malformed", ""),
    ("{} {}", "json.malformed", ""),
    ("1 2", "json.malformed", ""),
    ("[1,]", "json.malformed", "/1"),
    ("[,1]", "json.malformed", "/0"),
    ("[1 2]", "json.malformed", "/1"),
    ("[1}", "json.malformed", "/1"),
    ('{"a": 1,}', "json.malformed", "/a"),
    ('{"a" 1}', "json.malformed", "/a"),
    ('{"a":: 1}', "json.malformed", "/a"),
    ("{a: 1}", "json.malformed", "/"),
    ("{1: 1}", "json.malformed", "/"),
    ("{'a': 1}", "json.malformed", "/"),
    ('{"a": 1', "json.malformed", "/a"),
    ('{"a": 1]', "json.malformed", "/a"),
    ("]", "json.malformed", ""),
    (":", "json.malformed", ""),
    ("tru", "json.malformed", ""),
    ("True", "json.malformed", ""),
    ("nulls", "json.malformed", ""),
    ("-", "json.malformed", ""),
    ("+1", "json.malformed", ""),
    ("01", "json.malformed", ""),
    ("1.", "json.malformed", ""),
    (".5", "json.malformed", ""),
    ("1e", "json.malformed", ""),
    ("0x10", "json.malformed", ""),
    ('"a', "json.malformed", ""),
    ('"a\nb"', "json.malformed", ""),
    ('"\\x41"', "json.malformed", ""),
    ('"\\u12"', "json.malformed", ""),
    ("// a comment\n1", "json.malformed", ""),
    ("'a'", "json.malformed", ""),
]


@pytest.mark.parametrize(("text", "code", "pointer"), HOSTILE)
def test_what_readers_disagree_about_is_refused(text: str, code: str, pointer: str) -> None:
    problems = read_json(text).problems

    assert [(problem.code, problem.pointer) for problem in problems] == [(code, pointer)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        (" true ", True),
        ("[false]", [False]),
        ("-0", 0),
        ("1.5e3", 1500.0),
        ("1E2", 100.0),
        (str(MAX_INTEGER), MAX_INTEGER),
        ("1e-400", 0.0),
        ('"\\u00e9\\n\\/\\"\\\\ \\ud83d\\ude80 é"', 'é\n/"\\ 🚀 é'),
        ("{}", {}),
        ("[[], {}]", [[], {}]),
        ('{"a": [1, {"b": null}], "": "c"}', {"a": [1, {"b": None}], "": "c"}),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, None),
    ],
)
def test_what_all_readers_agree_about_is_read(text: str, value: object) -> None:
    document = read_json(text)

    assert document.problems == ()
    assert document.whole
    assert value is None or document.value == value


def test_all_that_is_wrong_is_told_at_once_each_with_its_line() -> None:
    document = read_json('{\n  "a": NaN,\n  "a": 1e400,\n  "b": [\n    "\\u0000"\n  ]\n}')

    assert [(problem.code, problem.line) for problem in document.problems] == [
        ("json.nan", 2),
        ("json.duplicate_key", 3),
        ("json.number_range", 3),
        ("json.nul", 5),
    ]


def test_very_many_problems_are_told_up_to_a_bound() -> None:
    document = read_json("[" + "NaN," * 500 + "1]")

    assert len(document.problems) == 100
    assert len(document.value) == 501


def test_a_malformed_text_is_told_what_was_expected_and_what_was_found() -> None:
    document = read_json('{\n  "a": [1,\n    oops]\n}')

    (problem,) = document.problems
    assert not document.whole
    assert problem.line == 3
    assert problem.message == "expected a value, found 'oops]' at column 5"


def test_an_end_that_comes_too_soon_is_said_to_be_the_end() -> None:
    (problem,) = read_json('{"a": [1').problems

    assert problem.message == "expected ',' or ']', found the end of the text at column 9"


def test_of_a_key_written_twice_the_first_value_is_kept() -> None:
    assert read_json('{"a": {"b": 1}, "a": {"c": 2}}').value == {"a": {"b": 1}}


def test_every_part_knows_its_line() -> None:
    document = read_json('\n{\n"a": [\n1,\n{"b/~": 2}\n]\n}')

    assert document.line_of("") == 2
    assert document.line_of("/a") == 3
    assert document.line_of("/a/0") == 4
    assert document.line_of("/a/1") == 5
    assert document.line_of("/a/1/b~1~0") == 5


def test_a_part_that_is_not_there_has_the_line_of_what_is_around_it() -> None:
    document = read_json('{\n"a": [\n1]}')

    assert document.line_of("/b") == 1
    assert document.line_of("/a/7") == 2
    assert document.line_of("/a/x") == 2
    assert document.line_of("/a/0/deeper") == 3


def test_a_reader_may_be_told_another_depth() -> None:
    assert read_json("[[1]]", depth=2).problems == ()
    assert [problem.code for problem in read_json("[[1]]", depth=1).problems] == ["json.depth"]
