"""How a case says that a promise is broken: without pytest, in words that a person can use.

```
Broken(AssertionError)   the bus does not keep the promise; says what was expected and what was found
```
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

_SHOWN = 300


class Broken(AssertionError):
    """The bus does not keep the promise."""


def demand(holds: object, expected: str, found: object) -> None:
    """Go on if it holds.

    Raises:
        Broken: it does not.
    """
    if not holds:
        raise Broken(f"expected {expected}, found {shown(found)}")


def demand_same(found: Any, expected: Any) -> None:
    """Go on if these are equal.

    Raises:
        Broken: they are not.
    """
    demand(found == expected, shown(expected), found)


def demand_soon(begun: float, within_s: float) -> None:
    """Go on if less time than this has passed since `begun`, of the monotonic clock.

    Raises:
        Broken: it took longer.
    """
    took_s = monotonic() - begun
    demand(took_s < within_s, f"it within {within_s:g} s", f"{took_s:.2f} s")


@contextmanager
def refused(kind: type[Exception], words: str = "") -> Iterator[None]:
    """See that what is done within ends with an error of this kind, with these words in its text.

    Raises:
        Broken: it was done, or the error says other things.
    """
    try:
        yield
    except kind as error:
        demand(re.search(words, str(error)), f"{kind.__name__} with {words!r} in it", str(error))
    else:
        raise Broken(f"expected {kind.__name__}, found none: it was done")


def shown(value: object) -> str:
    """Give a value as it is written, cut where nobody would read on."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"
