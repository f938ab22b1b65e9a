"""What somebody who misspelt a name may have meant."""

from collections.abc import Collection
from typing import Final

_COMPARISONS: Final = 20_000
_LIKE_ENOUGH: Final = 0.6


class Suggestions:
    """Gives the nearest of some names, until it has compared enough: a large template full of errors stays quick."""

    def __init__(self) -> None:
        self._left = _COMPARISONS

    def nearest(self, name: str, known: Collection[str]) -> str:
        """Give "; did you mean 'x'?", or "" where nothing is near."""
        from difflib import get_close_matches  # noqa: PLC0415 - only who misspells pays for it

        self._left -= len(known)
        if self._left < 0:
            return ""
        near = get_close_matches(name, known, n=1, cutoff=_LIKE_ENOUGH)
        return f"; did you mean {near[0]!r}?" if near else ""
