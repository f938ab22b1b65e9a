"""What the command line says when it can't do what was asked: for a person on stderr, for a program on stdout.

```
Failure(Exception)     what was asked failed; says why, with a code
```
"""

import errno
from collections.abc import Callable, Iterable

import orjson
import typer

from stepbus.contracts.problems import Problem, Refused
from stepbus.orchestrator.cli.printable import one_line
from stepbus.orchestrator.ports import BusUnavailable, StoreUnavailable


class Failure(Exception):
    """What was asked failed for this reason, and these problems in detail."""

    def __init__(self, code: str, message: str, problems: Iterable[Problem] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.problems = tuple(problems)


_COLOURS = {"error": "red", "warning": "yellow"}

FORESEEN = (Failure, Refused, StoreUnavailable, BusUnavailable, OSError)


def explained(error: Exception) -> Failure:
    """Give the failure that a foreseen error is."""
    match error:
        case Failure():
            return error
        case Refused(problems=(problem,)):
            return Failure(problem.code, problem.message, (problem,))
        case Refused(problems=problems):
            return Failure("refused", f"{len(problems)} things are wrong", problems)
        case StoreUnavailable():
            return Failure("store.unavailable", _said(error))
        case BusUnavailable():
            return Failure("bus.unavailable", _said(error))
        case OSError():
            return Failure(f"os.{errno.errorcode.get(error.errno or 0, 'error').lower()}", str(error))
        case _:
            raise error


def report(failure: Failure, *, as_json: bool) -> None:
    """Say the failure: on stdout as one JSON document, or on stderr a line a problem."""
    if as_json:
        document = {"code": failure.code, "message": failure.message, "errors": listed(failure.problems)}
        typer.echo(orjson.dumps({"error": document}).decode())
        return
    if len(failure.problems) != 1:
        _complain(line_of(Problem(code=failure.code, message=failure.message)))
    for problem in failure.problems:
        _complain(line_of(problem))


def listed(problems: Iterable[Problem]) -> list[dict[str, object]]:
    """Give the problems as JSON has them, all keys in each."""
    return [
        {"code": problem.code, "pointer": problem.pointer, "line": problem.line, "message": problem.message}
        for problem in problems
    ]


def show_problems(problems: Iterable[Problem], source_line: Callable[[int], str], word: str = "error") -> None:
    """Say each problem on stderr, and under it the line of the source that it is about."""
    for problem in problems:
        _complain(line_of(problem, word))
        if problem.line is not None:
            text = one_line(source_line(problem.line))
            number = f"{problem.line:>6} | "
            indent = " " * (len(number) + len(text) - len(text.lstrip()))
            typer.echo(f"{number}{text}\n{indent}{'^' * max(1, len(text.strip()))}", err=True)


def line_of(problem: Problem, word: str = "error") -> str:
    """Give the problem in a line: `error[code] at pointer (line n): message`."""
    place = f" at {one_line(problem.pointer)}" if problem.pointer else ""
    line = f" (line {problem.line})" if problem.line is not None else ""
    return f"{word}[{problem.code}]{place}{line}: {one_line(problem.message)}"


def _complain(line: str) -> None:
    word, bracket, rest = line.partition("[")
    typer.echo(f"{typer.style(word, fg=_COLOURS[word], bold=True)}{bracket}{rest}", err=True)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
