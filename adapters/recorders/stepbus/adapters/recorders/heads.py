"""What a writer knows of the streams that it wrote last, so that it need not ask the database for their heads."""

from collections.abc import Iterable, Mapping

STREAMS_KEPT = 6_000
"""How many streams are known at least, once as many were written; at most twice as many are."""


class KnownHeads:
    """The versions of streams, by the integer in their UUID, as they were when the log ended at `position`.

    Nothing is ever taken out of a log, and its positions have no gaps: so the versions hold as long as the log still
    ends there, whoever else may write to it. Whoever asks looks first, under the log's lock, where the log ends.

    Streams that were not written for long are forgotten by generations, which costs nothing for each write.
    """

    def __init__(self, kept: int = STREAMS_KEPT) -> None:
        self.position = 0
        self._kept = kept
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}

    def of(self, streams: Iterable[int]) -> dict[int, int]:
        """Give the versions of those of the streams that are known."""
        young, old = self._young, self._old
        return {stream: head for stream in streams if (head := young.get(stream) or old.get(stream)) is not None}

    def keep(self, position: int, heads: Mapping[int, int]) -> None:
        """Know these as well, now that the log ends at `position` and no other stream has moved since."""
        self.position = position
        self._young.update(heads)
        if len(self._young) > self._kept:
            self._old, self._young = self._young, {}

    def forget(self) -> None:
        """Know nothing."""
        self._young, self._old = {}, {}
