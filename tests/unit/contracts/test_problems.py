"""What is wrong with an input, said so that a person and a program can act on it."""

import orjson
import pytest
from pydantic import BaseModel, ValidationError

from stepbus.contracts.problems import Problem, Refused, escape_pointer, refuse, unescape_pointer
from stepbus.contracts.validation import found, problems_of


def test_a_refusal_names_every_problem_with_its_code_and_place() -> None:
    refused = Refused(
        [Problem(code="a.b", message="expected x", pointer="/p"), Problem(code="c.d", message="expected y")]
    )

    assert str(refused) == "a.b at /p: expected x; c.d at /: expected y"


def test_a_single_problem_is_refused_in_one_word() -> None:
    assert refuse("a.b", "expected x", "/p", 3).problems == (
        Problem(code="a.b", message="expected x", pointer="/p", line=3),
    )


def test_a_problem_can_be_stored_whatever_it_speaks_of() -> None:
    problem = Problem(code="a.b", message="found \ud800\0", pointer="/\udfff")

    assert orjson.loads(orjson.dumps(problem.model_dump())) == problem.model_dump()
    assert (problem.message, problem.pointer) == ("found \ufffd\ufffd", "/\ufffd")


def test_what_is_said_of_an_input_is_not_larger_than_anybody_reads() -> None:
    problem = Problem(code="a.b", message="x" * 5_000, pointer="/a/" + "b" * 1_000 + "/" + "c" * 5_000)

    assert problem.message == "x" * 1_021 + "..."
    assert problem.pointer == "/a/" + "b" * 1_000
    assert problem.under("/" + "d" * 500).pointer == "/" + "d" * 500 + "/a"
    assert Problem(code="a.b", message="", pointer="/" + "c" * 5_000).pointer == ""


def test_a_problem_can_be_seen_from_a_larger_input() -> None:
    assert Problem(code="a.b", message="expected x", pointer="/p").under("/data").pointer == "/data/p"


@pytest.mark.parametrize("code", ["A.b", "a b", "", "a.", ".a"])
def test_a_code_is_dotted_and_in_lower_case(code: str) -> None:
    with pytest.raises(ValidationError):
        Problem(code=code, message="expected x")


@pytest.mark.parametrize(("key", "token"), [("a/b", "a~1b"), ("a~b", "a~0b"), ("~1", "~01"), ("", "")])
def test_pointers_are_escaped_and_read_back(key: str, token: str) -> None:
    assert escape_pointer(key) == token
    assert unescape_pointer(token) == key


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("a", 'the text "a"'),
        ("a" * 200, 'the text "' + "a" * 76 + "..."),
        (None, "null"),
        (True, "true"),
        (1.5, "the number 1.5"),
        ({}, "an empty object"),
        ({"a": 1}, "an object"),
        ([], "an empty list"),
        ((1,), "a list"),
        (b"", "a bytes"),
    ],
)
def test_what_was_found_has_a_short_name(value: object, name: str) -> None:
    assert found(value) == name


class Example(BaseModel, extra="forbid"):
    a: int
    b: dict[str, bool] = {}
    c: complex = 0j


def problems(value: object) -> list[tuple[str, str, str]]:
    with pytest.raises(ValidationError) as error:
        Example.model_validate(value)
    return [(problem.code, problem.pointer, problem.message) for problem in problems_of(error.value, "example", "/x")]


def test_an_error_of_validation_becomes_a_problem_with_a_place() -> None:
    assert problems({"b": {"k/l": 5}, "z": 1}) == [
        ("example.missing", "/x/a", "expected the key 'a', found none"),
        ("example.invalid", "/x/b/k~1l", "expected true or false, found the number 5"),
        ("example.unknown_key", "/x/z", "expected only known keys, found 'z'"),
    ]


def test_very_many_errors_of_validation_are_told_up_to_a_bound() -> None:
    with pytest.raises(ValidationError) as error:
        Example.model_validate({"a": 1} | {f"z{number}": 1 for number in range(500)})

    assert len(list(problems_of(error.value, "example"))) == 100
    assert len(list(problems_of(error.value, "example", limit=None))) == 500


def test_an_error_that_has_no_words_of_ours_keeps_its_own() -> None:
    ((code, pointer, message),) = problems({"a": 1, "c": "x"})

    assert (code, pointer) == ("example.invalid", "/x/c")
    assert "complex" in message
