"""One projection, following the log."""

import asyncio
import logging
from collections.abc import Sequence

from stepbus.orchestrator.ports import StaleCheckpoint, StoreUnavailable, ViewStore
from stepbus.projections.feed import Feed
from stepbus.projections.projection import Entry, NotApplicable, Projection

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0


class Follower:
    """Keeps a view at the end of the log.

    Guarantee: the view stands for exactly the records up to its checkpoint. A record that can't be applied stops the
    follower there: it is never skipped, and what came before it is in the view. An unavailable store is tried again.
    """

    def __init__(self, projection: Projection, feed: Feed, views: ViewStore) -> None:
        self.projection = projection
        self.position = 0
        self.trouble: str | None = None
        self.stopped: NotApplicable | None = None
        self._feed = feed
        self._views = views

    async def run(self) -> None:
        """Follow until cancelled, or until a record can't be applied."""
        pause_s = _FIRST_PAUSE_S
        known = False
        while self.stopped is None:
            try:
                if not known:
                    self.position = await self._views.checkpoint(self.projection.name)
                    known = True
                await self._advance(await self._feed.after(self.position))
            except StaleCheckpoint:
                known = False
            except StoreUnavailable as error:
                known = False
                self.trouble = f"waits at position {self.position}, the store is unavailable: {error}"
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            except NotApplicable as error:
                self.stopped = error
                _log.exception("projection %s %s", self.projection.name, error)
            else:
                self.trouble = None
                pause_s = _FIRST_PAUSE_S

    async def catch_up(self, position: int) -> None:
        """Follow until the view stands for this position.

        Raises:
            NotApplicable: a record on the way can't be applied.
            StoreUnavailable: the log or the view can't be reached now; call again.
        """
        self.position = await self._views.checkpoint(self.projection.name)
        while self.position < position:
            try:
                await self._advance(await self._feed.after(self.position))
            except StaleCheckpoint:
                self.position = await self._views.checkpoint(self.projection.name)

    async def _advance(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        try:
            await self._apply(entries)
        except (StaleCheckpoint, StoreUnavailable):
            raise
        except Exception as error:
            if len(entries) == 1:
                raise _named(entries[0], error) from error
            # One at a time: all that can be applied is, and the one that can't is named.
            for entry in entries:
                await self._advance((entry,))

    async def _apply(self, entries: Sequence[Entry]) -> None:
        last = entries[-1].position
        statements = self.projection.statements(entries)
        await self._views.apply(self.projection.name, self.position, last, statements)
        self.position = last


def _named(entry: Entry, error: Exception) -> NotApplicable:
    if isinstance(error, NotApplicable):
        return error
    return NotApplicable(entry.position, f"{type(error).__name__}: {error}")
