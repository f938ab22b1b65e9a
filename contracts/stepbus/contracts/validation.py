"""pydantic's errors, said in our words."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from stepbus.contracts.problems import Problem, escape_pointer

if TYPE_CHECKING:
    from pydantic import ValidationError

_SHOWN = 80
_CODES = {"missing": "missing", "extra_forbidden": "unknown_key"}


def problems_of(error: "ValidationError", subject: str, pointer: str = "") -> Iterator[Problem]:
    """Give a problem for each error, coded `<subject>.missing`, `<subject>.unknown_key` or `<subject>.invalid`."""
    for detail in error.errors(include_url=False, include_context=False):
        place = pointer + "".join(f"/{escape_pointer(str(token))}" for token in detail["loc"])
        found = repr(detail["input"])
        found = found if len(found) <= _SHOWN else found[: _SHOWN - 3] + "..."
        shown = "" if detail["type"] == "missing" else f", found {found}"
        yield Problem(
            code=f"{subject}.{_CODES.get(detail['type'], 'invalid')}",
            message=detail["msg"] + shown,
            pointer=place,
        )
