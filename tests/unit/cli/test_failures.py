"""What can't be done is said once, with a code: for a person on stderr, for a program on stdout."""

import errno
import re

import orjson
import pytest

from stepbus.contracts.problems import Problem, Refused, refuse
from stepbus.orchestrator.cli.failure import Failure, explained, line_of, report, show_problems
from stepbus.orchestrator.cli.verb import answer, paired, table
from stepbus.orchestrator.ports import BusUnavailable, StoreUnavailable

CYCLE = Problem(code="template.cycle", pointer="/steps/2", line=8, message="found a -> b -> a")
VERSION = Problem(code="template.version", message="found 1.0")


def test_a_problem_is_a_line_with_code_place_and_reason() -> None:
    assert line_of(CYCLE) == "error[template.cycle] at /steps/2 (line 8): found a -> b -> a"
    assert line_of(VERSION) == "error[template.version]: found 1.0"


def test_for_a_person_each_problem_is_a_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    report(explained(Refused([CYCLE, VERSION])), as_json=False)

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "error[refused]: 2 things are wrong",
        "error[template.cycle] at /steps/2 (line 8): found a -> b -> a",
        "error[template.version]: found 1.0",
    ]


def test_for_a_program_the_problems_are_one_document_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    report(explained(Refused([CYCLE])), as_json=True)

    said = capsys.readouterr()
    assert said.err == ""
    assert orjson.loads(said.out) == {
        "error": {
            "code": "template.cycle",
            "message": "found a -> b -> a",
            "errors": [
                {"code": "template.cycle", "pointer": "/steps/2", "line": 8, "message": "found a -> b -> a"},
            ],
        }
    }


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (Failure("api.unreachable", "nobody answers"), "api.unreachable", "nobody answers"),
        (refuse("settings.invalid", "found x"), "settings.invalid", "found x"),
        (StoreUnavailable("the disk is full"), "store.unavailable", "the disk is full"),
        (BusUnavailable(), "bus.unavailable", "BusUnavailable"),
        (OSError(errno.EADDRINUSE, "in use"), "os.eaddrinuse", "[Errno 98] in use"),
        (OSError("strange"), "os.error", "strange"),
    ],
)
def test_a_foreseen_error_has_a_code(error: Exception, code: str, message: str) -> None:
    failure = explained(error)

    assert (failure.code, failure.message) == (code, message)


def test_what_was_not_foreseen_is_not_explained_away() -> None:
    with pytest.raises(ZeroDivisionError):
        explained(ZeroDivisionError())


def test_the_line_that_is_wrong_is_shown_and_underlined(capsys: pytest.CaptureFixture[str]) -> None:
    show_problems([CYCLE, VERSION], {8: "  - {name: a}"}.__getitem__)

    assert capsys.readouterr().err.splitlines() == [
        "error[template.cycle] at /steps/2 (line 8): found a -> b -> a",
        "     8 |   - {name: a}",
        "           ^^^^^^^^^^^",
        "error[template.version]: found 1.0",
    ]


def test_what_others_say_does_not_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07gone\r\u202eevil\n\tnew line"

    report(Failure("card.declined", hostile), as_json=False)
    show_problems([CYCLE], lambda _: hostile)
    answer({}, f"{hostile}\n{table(('reason',), [(hostile,)])}\n{paired([('reason', hostile)])}", as_json=False)

    said = capsys.readouterr()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", said.out + said.err)
    assert "\\x1b[2J\\x1b]0;owned\\x07gone\\r\\u202eevil\\n\\tnew line" in said.err
    assert len(said.out.splitlines()) == 5


def test_json_keeps_what_others_say_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    answer({"reason": "\x1b[2J"}, "", as_json=True)

    assert orjson.loads(capsys.readouterr().out) == {"reason": "\x1b[2J"}
