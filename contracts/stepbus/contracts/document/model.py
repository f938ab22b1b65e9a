"""The value that a text holds, built part by part, with the line of each part."""

import math
import re
from collections.abc import Iterator
from typing import Any

from stepbus.contracts.problems import MAX_PROBLEMS, Problem, escape_pointer, unescape_pointer

MAX_DEPTH = 64
MAX_INTEGER = 2**53 - 1

_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_INTEGER_DIGITS = len(str(MAX_INTEGER))

Places = dict[int, Any]
"""The lines of what a container holds, under the container's `id`: by key for an object, by index for an array."""


class Unreadable(Exception):
    """Ends the reading of a text whose rest can't be understood; what led to it is noted."""


class Document:
    """A text, read.

    Shape: `problems` holds all that was found in reading. `whole` is false where reading ended early, at a place that
    could not be understood; `value` is then what stood before it.
    """

    def __init__(
        self, value: Any, problems: tuple[Problem, ...], places: Places, *, first_line: int, whole: bool
    ) -> None:
        self.value = value
        self.problems = problems
        self.whole = whole
        self._places = places
        self._first_line = first_line

    def line_of(self, pointer: str) -> int:
        """Give the line of the part that a pointer names, or of the nearest part around it that is there."""
        line, part = self._first_line, self.value
        for token in pointer.split("/")[1:]:
            places = self._places.get(id(part))
            try:
                key = unescape_pointer(token) if isinstance(part, dict) else int(token)
                line, part = places[key], part[key]  # type: ignore[index]
            except (LookupError, TypeError, ValueError):
                break
        return line


class Builder:
    """Takes the parts of a document in the order of its text. `subject` begins the code of each problem."""

    def __init__(self, subject: str, depth: int = MAX_DEPTH) -> None:
        self._subject = subject
        self._depth = depth
        self.problems: list[Problem] = []
        self.value: Any = None
        self._first_line = 1
        self._places: Places = {}
        self._container: Any = None
        self._is_object = False
        self._lines: Any = None
        self._key: str = ""
        self._key_line = 1
        self._around: list[tuple[Any, Any, str, int]] = []

    def document(self, *, whole: bool) -> Document:
        """Give what has been built."""
        return Document(self.value, tuple(self.problems), self._places, first_line=self._first_line, whole=whole)

    def problem(self, code: str, message: str, line: int) -> None:
        """Note a problem, at the place where the next part would go, unless there are more than anybody reads."""
        if len(self.problems) < MAX_PROBLEMS:
            place = "".join(self._tokens())
            self.problems.append(Problem(code=f"{self._subject}.{code}", message=message, pointer=place, line=line))

    def _tokens(self) -> Iterator[str]:
        for container, _, key, _ in self._around[1:]:  # each already holds the container that follows it
            yield "/" + escape_pointer(key) if isinstance(container, dict) else f"/{len(container) - 1}"
        if isinstance(self._container, dict):
            yield "/" + escape_pointer(self._key)
        elif self._container is not None:
            yield f"/{len(self._container)}"

    def begin(self, container: dict[str, Any] | list[Any], line: int) -> None:
        """Open an object or an array.

        Raises:
            Unreadable: it would be one level too many.
        """
        if len(self._around) == self._depth:
            self.problem("depth", f"expected at most {self._depth} levels, found another", line)
            raise Unreadable
        self.take(container, line)
        self._around.append((self._container, self._lines, self._key, self._key_line))
        self._container = container
        self._is_object = isinstance(container, dict)
        self._lines = {} if self._is_object else []
        self._places[id(container)] = self._lines

    def end(self) -> None:
        """Close the innermost object or array."""
        self._container, self._lines, self._key, self._key_line = self._around.pop()
        self._is_object = isinstance(self._container, dict)

    def key(self, key: str, line: int) -> None:
        """Take the key that the next part goes under."""
        self._key, self._key_line = key, line
        if key in self._container:
            first = self._lines[key]
            message = f"expected the key {key!r} once in an object, found it on line {first} too"
            self.problem("duplicate_key", message, line)

    def take(self, value: Any, line: int) -> None:
        """Take a text, true, false, null, or a container that is now open."""
        if self._is_object:
            key = self._key
            if key not in self._container:
                self._container[key] = value
                self._lines[key] = self._key_line
        elif self._container is None:
            self.value, self._first_line = value, line
        else:
            self._container.append(value)
            self._lines.append(line)

    def integer(self, literal: str, line: int, base: int = 10) -> None:
        """Take a whole number, written in this base; the literal may have a sign and leading zeros."""
        digits = literal.lstrip("+-0")
        value = int(digits or "0", base) if len(digits) <= _INTEGER_DIGITS * 2 else MAX_INTEGER + 1
        if value > MAX_INTEGER:
            shown = literal if len(literal) <= 40 else literal[:37] + "..."  # noqa: PLR2004 - what fits a line
            self.problem(
                "integer_range",
                f"expected an integer between -{MAX_INTEGER} and {MAX_INTEGER}, found {shown}: write it as text",
                line,
            )
            value = 0
        self.take(-value if literal.startswith("-") else value, line)

    def real(self, literal: str, line: int) -> None:
        """Take a number with a fraction or an exponent."""
        value = float(literal)
        if math.isinf(value):
            self.problem("number_range", f"expected a number that a double can hold, found {literal[:40]}", line)
            value = 0.0
        self.take(value, line)

    def not_finite(self, literal: str, line: int) -> None:
        """Refuse a NaN or an infinity."""
        self.problem("nan", f"expected a finite number, found {literal}", line)
        self.take(0.0, line)

    def is_text(self, text: str, line: int, *, is_whole_document: bool = False) -> bool:
        """Say whether a text holds whole characters only and no U+0000; if not, the problem is noted."""
        found = _NOT_TEXT.search(text)
        if found is None:
            return True
        if is_whole_document:
            line += text.count("\n", 0, found.start())
        if found[0] == "\x00":
            self.problem("nul", "expected text without the character U+0000, found one", line)
        else:
            self.problem("surrogate", f"expected whole characters, found the half U+{ord(found[0]):04X}", line)
        return False
