"""What is wrong with an input, said so that a person and a program can both act on it.

```
Refused(ValueError)      an input can't be accepted; carries every problem found, not only the first
```
"""

import re
from collections.abc import Iterable
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_PROBLEMS: Final = 100
"""How many problems of one message, text or value are told."""

MAX_TEXT: Final = 1024
"""Characters of a problem's message, and of its pointer: an input can't make what is said of it larger than itself."""

_UNSAYABLE: Final = re.compile("[\x00\ud800-\udfff]")


def _sayable(text: str) -> str:
    """Give a text that JSON and every database can hold, whatever the input that it speaks of holds."""
    return _UNSAYABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _short_message(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."


def _short_pointer(pointer: str) -> str:
    """Give the pointer, or that of the nearest part around it which can be named shortly."""
    return pointer if len(pointer) <= MAX_TEXT else pointer[: MAX_TEXT + 1].rpartition("/")[0]


class Problem(BaseModel):
    """One thing that is wrong.

    Shape: `code` is dotted and stable, `pointer` is a JSON pointer (RFC 6901) into the input ("" is the whole of it),
    `line` counts from 1 and is there where the input was text that a person wrote, `message` names expected and found.
    """

    model_config = ConfigDict(frozen=True)

    code: Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$")]
    message: Annotated[str, AfterValidator(_sayable), AfterValidator(_short_message)]
    pointer: Annotated[str, AfterValidator(_sayable), AfterValidator(_short_pointer)] = ""
    line: int | None = None

    def under(self, pointer: str) -> Self:
        """Give the problem as seen from a larger input, in which this one stands at `pointer`."""
        return self.model_copy(update={"pointer": _short_pointer(pointer + self.pointer)})


class Refused(ValueError):
    """An input can't be accepted. Mend what `problems` names and send it again."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "; ".join(f"{problem.code} at {problem.pointer or '/'}: {problem.message}" for problem in self.problems)
        )


def refuse(code: str, message: str, pointer: str = "", line: int | None = None) -> Refused:
    """Give the refusal for a single problem, to be raised."""
    return Refused((Problem(code=code, message=message, pointer=pointer, line=line),))


def escape_pointer(token: str) -> str:
    """Give one reference token of a JSON pointer. Source: RFC 6901, section 3."""
    return token.replace("~", "~0").replace("/", "~1")


def unescape_pointer(token: str) -> str:
    """Give the key or index that one reference token of a JSON pointer names. Source: RFC 6901, section 4."""
    return token.replace("~1", "/").replace("~0", "~")
