"""YAML text, composed from the parser's events. Source: YAML 1.2.2, core schema (section 10.3), as far as JSON has it.

PyYAML finds the parts; what they mean is decided here, since its own resolver follows YAML 1.1, where `no` is false and
`1:30` is 90. Anchors, aliases, tags and merge keys are refused: they make a text mean more than it shows.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from stepbus.contracts.document.model import Builder, Document, Unreadable

_CONSTANTS: Final = {"null": None, "true": True, "false": False}
_BASES: Final = {"integer": 10, "octal": 8, "hexadecimal": 16}
_TEXT_BEGINS: Final = frozenset("abcdeghijklmopqrsuvwxyzABCDEGHIJKLMOPQRSUVWXYZ_/$<>=^")  # and so no number or constant
_PLAIN: Final = re.compile(
    r"""(?:
      (?P<null>null|Null|NULL|~|)
    | (?P<true>true|True|TRUE)
    | (?P<false>false|False|FALSE)
    | (?P<integer>[-+]?[0-9]++)
    | 0o(?P<octal>[0-7]++)
    | 0x(?P<hexadecimal>[0-9a-fA-F]++)
    | (?P<real>[-+]?(?:\.[0-9]++|[0-9]++(?:\.[0-9]*+)?)(?:[eE][-+]?[0-9]++)?)
    | (?P<not_finite>[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))
    )\Z""",
    re.VERBOSE,
)


def read_yaml(text: str) -> Document:
    """Give the document that the text holds, with all that is wrong with it."""
    import yaml  # noqa: PLC0415 - 30 ms that only readers of YAML should pay

    builder = Builder("yaml")
    if not builder.is_text(text, 1, is_whole_document=True):
        return builder.document(whole=False)
    try:
        _Reading(builder).read(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except Unreadable:
        return builder.document(whole=False)
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark
        builder.problem("malformed", f"{error.problem}, at column {mark.column + 1}", mark.line + 1)
        return builder.document(whole=False)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, text.find(chr(error.character))) + 1
        builder.problem("malformed", f"expected printable text, found the character U+{error.character:04X}", line)
        return builder.document(whole=False)
    except ArithmeticError as error:  # the parser in Python meets an escape beyond the last character
        builder.problem("malformed", f"expected characters up to U+10FFFF: {error}", 1)
        return builder.document(whole=False)
    return builder.document(whole=True)


class _Reading:
    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._mappings: list[bool] = []  # for each open collection, whether it is a mapping
        self._in_mapping = False
        self._key_is_next = False
        self._documents = 0
        self._takers: Final[Mapping[str, Callable[[Any], None]]] = {
            "ScalarEvent": self._scalar,
            "MappingStartEvent": lambda event: self._begin(event, {}),
            "SequenceStartEvent": lambda event: self._begin(event, []),
            "MappingEndEvent": self._end,
            "SequenceEndEvent": self._end,
            "AliasEvent": self._alias,
            "DocumentStartEvent": self._document,
            "DocumentEndEvent": _nothing,
            "StreamStartEvent": _nothing,
            "StreamEndEvent": _nothing,
        }

    def read(self, events: Iterable[object]) -> None:
        takers = self._takers
        for event in events:
            takers[type(event).__name__](event)

    def _document(self, event: Any) -> None:
        self._documents += 1
        line = event.start_mark.line + 1
        if self._documents > 1:
            self._builder.problem("multiple_documents", "expected one document, found another", line)
            raise Unreadable
        version = event.version
        if version and version < (1, 2):
            self._builder.problem("version", f"expected YAML 1.2, found {version[0]}.{version[1]}", line)

    def _begin(self, event: Any, container: dict[str, Any] | list[Any]) -> None:
        line = event.start_mark.line + 1
        self._check(event, line)
        if self._key_is_next:
            self._builder.problem("key", "expected a text as key, found a collection", line)
            raise Unreadable
        self._builder.begin(container, line)
        self._in_mapping = self._key_is_next = isinstance(container, dict)
        self._mappings.append(self._in_mapping)

    def _end(self, _: Any) -> None:
        self._builder.end()
        self._mappings.pop()
        self._in_mapping = self._key_is_next = bool(self._mappings) and self._mappings[-1]

    def _alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        self._builder.problem("alias", f"expected no alias, found *{event.anchor}: write the content out", line)
        if self._key_is_next:
            raise Unreadable
        self._builder.take(None, line)
        self._key_is_next = self._in_mapping

    def _scalar(self, event: Any) -> None:
        text, line, style = event.value, event.start_mark.line + 1, event.style
        if event.anchor is not None or event.tag is not None:
            self._check(event, line)
        plain = None if style or text[:1] in _TEXT_BEGINS else _PLAIN.match(text)
        if self._key_is_next:
            self._key(text, plain, line)
            if style == '"':
                self._builder.is_text(text, line)
            return
        if style == '"':
            self._builder.is_text(text, line)  # an escape may stand for what the document itself can't hold
        if plain is None:
            self._builder.take(text, line)
        else:
            self._resolved(plain, line)
        self._key_is_next = self._in_mapping

    def _key(self, text: str, plain: re.Match[str] | None, line: int) -> None:
        if plain is not None:
            self._builder.problem("key", f"expected a text as key, found {text or 'null'}: put it in quotes", line)
        elif text == "<<":
            self._builder.problem("merge_key", "expected no merge key, found <<: write the content out", line)
        self._builder.key(text, line)
        self._key_is_next = False

    def _resolved(self, plain: re.Match[str], line: int) -> None:
        builder, kind, literal = self._builder, plain.lastgroup or "", plain[0]
        if kind in _CONSTANTS:
            builder.take(_CONSTANTS[kind], line)
        elif kind in _BASES:
            builder.integer(plain[kind], line, _BASES[kind])
        elif kind == "real":
            builder.real(literal, line)
        else:
            builder.not_finite(literal, line)

    def _check(self, event: Any, line: int) -> None:
        """Refuse an anchor or a tag; the part itself is still read."""
        if event.anchor is not None:
            self._builder.problem("anchor", f"expected no anchor, found &{event.anchor}", line)
        if event.tag is not None:
            self._builder.problem("tag", f"expected no tag, found {event.tag}", line)


def _nothing(_: Any) -> None:
    """Take an event that says nothing."""
