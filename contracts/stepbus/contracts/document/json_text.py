"""JSON text, read token by token. Source: RFC 8259, with the restrictions of RFC 7493 (I-JSON)."""

import json
import re
from typing import Final, cast

from stepbus.contracts.document.model import MAX_DEPTH, Builder, Document, Unreadable

_TOKEN: Final = re.compile(
    r"""[ \t\n\r]*+(?:
      (?P<mark>[{}\[\]:,])
    | (?P<text>"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+")
    | (?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?)(?![0-9A-Za-z_.+-])
    | (?P<word>-?[A-Za-z]++)(?![0-9A-Za-z_.+-])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_HALF: Final = re.compile("[\ud800-\udfff]")
_FOUND: Final = re.compile(r"[ \t\n\r]*+(.{0,20})")
_REAL: Final = re.compile("[.eE]")
_CLOSING: Final = {"{": "}", "[": "]"}
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_NOT_FINITE: Final = frozenset({"NaN", "Infinity", "-Infinity", "-NaN"})

# What may come next.
_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _COLON, _COMMA_OR_END, _NOTHING = range(7)
_VALUES: Final = (_VALUE, _VALUE_OR_END)
_KEYS: Final = (_KEY, _KEY_OR_END)
_EXPECTED: Final = {
    _VALUE: "a value",
    _VALUE_OR_END: "a value or ']'",
    _KEY: "a key in double quotes",
    _KEY_OR_END: "a key in double quotes or '}'",
    _COLON: "':'",
    _NOTHING: "the end of the text",
}


def read_json(text: str, depth: int = MAX_DEPTH) -> Document:
    """Give the document that the text holds, with all that is wrong with it."""
    builder = Builder("json", depth)
    try:
        _Reading(text, builder).read()
    except Unreadable:
        return builder.document(whole=False)
    return builder.document(whole=True)


class _Reading:
    def __init__(self, text: str, builder: Builder) -> None:
        self._text = text
        self._builder = builder
        self._line = 1
        self._expected = _VALUE
        self._open: list[str] = []
        self._has_halves = _HALF.search(text) is not None

    def read(self) -> None:
        text, position, match, take = self._text, 0, _TOKEN.match, self._take
        while True:
            token = match(text, position)
            if token is None:
                raise self._malformed(position)
            kind = token.lastgroup or ""
            start, end = token.span(kind)
            if start != position:
                self._line += text.count("\n", position, start)
            position = end
            if kind == "end" and self._expected == _NOTHING:
                return
            if not take(kind, text[start:end]):
                raise self._malformed(start)

    def _take(self, kind: str, literal: str) -> bool:
        """Take a token, unless it can't stand here."""
        expected = self._expected
        if kind == "mark":
            return self._mark(literal)
        if kind == "text" and expected in _KEYS:
            key = _text(literal)
            self._builder.key(key, self._line)
            self._check(key, literal)
            self._expected = _COLON
            return True
        if expected not in _VALUES or not self._value(kind, literal):
            return False
        self._expected = _COMMA_OR_END if self._open else _NOTHING
        return True

    def _value(self, kind: str, literal: str) -> bool:
        builder, line = self._builder, self._line
        if kind == "text":
            text = _text(literal)
            self._check(text, literal)
            builder.take(text, line)
        elif kind == "word" and literal in _CONSTANTS:
            builder.take(_CONSTANTS[literal], line)
        elif kind == "word" and literal in _NOT_FINITE:
            builder.not_finite(literal, line)
        elif kind == "number" and _REAL.search(literal):
            builder.real(literal, line)
        elif kind == "number":
            builder.integer(literal, line)
        else:
            return False
        return True

    def _check(self, text: str, literal: str) -> None:
        if "\\" in literal or self._has_halves:
            self._builder.is_text(text, self._line)

    def _mark(self, mark: str) -> bool:
        builder, expected = self._builder, self._expected
        if mark in "{[" and expected in _VALUES:
            builder.begin({} if mark == "{" else [], self._line)
            self._open.append(mark)
            self._expected = _KEY_OR_END if mark == "{" else _VALUE_OR_END
        elif mark == ":" and expected == _COLON:
            self._expected = _VALUE
        elif mark == "," and expected == _COMMA_OR_END:
            self._expected = _KEY if self._open[-1] == "{" else _VALUE
        elif (
            self._open and mark == _CLOSING[self._open[-1]] and expected in (_KEY_OR_END, _VALUE_OR_END, _COMMA_OR_END)
        ):
            builder.end()
            self._open.pop()
            self._expected = _COMMA_OR_END if self._open else _NOTHING
        else:
            return False
        return True

    def _malformed(self, position: int) -> Unreadable:
        found = cast("re.Match[str]", _FOUND.match(self._text, position))
        start = found.start(1)
        line = self._line + self._text.count("\n", position, start)
        if self._expected == _COMMA_OR_END:
            expected = f"',' or '{_CLOSING[self._open[-1]]}'"
        else:
            expected = _EXPECTED[self._expected]
        shown = repr(found[1]) if found[1] else "the end of the text"
        column = start - self._text.rfind("\n", 0, start)
        self._builder.problem("malformed", f"expected {expected}, found {shown} at column {column}", line)
        return Unreadable()


def _text(literal: str) -> str:
    text: str = json.loads(literal) if "\\" in literal else literal[1:-1]
    return text
