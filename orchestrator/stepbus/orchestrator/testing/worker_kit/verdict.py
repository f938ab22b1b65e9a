"""How a rule ends, other than well.

```
Broken(Exception)    the worker does not keep to the rule; says what was expected and what was found
NotTried(Exception)  the rule can't be tried on this worker; says why
```
"""

from typing import Any

from stepbus.contracts import codec
from stepbus.contracts.problems import Refused

_SHOWN = 300


class Broken(Exception):
    """The worker does not keep to the rule."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found


class NotTried(Exception):
    """The rule can't be tried on this worker."""


def demand(holds: object, expected: str, found: str) -> None:
    """Go on if it holds.

    Raises:
        Broken: it does not.
    """
    if not holds:
        raise Broken(expected, found)


def demand_same(name: str, expected: Any, found: Any) -> None:
    """Go on if two JSON values are the same in every language: 1 and 1.0 are, 0 and false are not.

    Raises:
        Broken: they are not.
    """
    demand(_canonical(expected) == _canonical(found), f"{name} {shown(expected)}", shown(found))


def shown(value: Any) -> str:
    """Give a value as JSON, cut where nobody would read on."""
    try:
        text = codec.encode(value).decode()
    except Refused:
        text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def _canonical(value: Any) -> bytes:
    return codec.canonical(value)
