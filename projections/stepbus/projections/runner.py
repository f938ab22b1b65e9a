"""The role that keeps all views at the end of the log."""

import asyncio
from collections.abc import Sequence

from stepbus.orchestrator.ports import EventStore, ViewStore, end_tasks
from stepbus.projections.feed import Feed
from stepbus.projections.follow import Follower
from stepbus.projections.progress import Progress
from stepbus.projections.projection import Projection
from stepbus.projections.views import PROJECTIONS


class Runner:
    """Every projection at its own pace, each with its own checkpoint, over one reading of the log."""

    def __init__(self, store: EventStore, views: ViewStore, projections: Sequence[Projection] = PROJECTIONS) -> None:
        self._views = views
        self._feed = Feed(store)
        self._progress = Progress(views)
        self._followers = [Follower(projection, self._feed, views) for projection in projections]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> str:
        """Create the tables that aren't there, and begin to follow."""
        for follower in self._followers:
            await self._views.create(follower.projection.ddl)
        self._tasks = [
            asyncio.create_task(follower.run(), name=f"projection {follower.projection.name}")
            for follower in self._followers
        ]
        return f"projections: {', '.join(follower.projection.name for follower in self._followers)}"

    async def stop(self) -> None:
        """Stop following. What was begun is in the views whole, or not at all."""
        await end_tasks(*self._tasks)
        await self._feed.close()

    async def wait_for(self, position: int, timeout_s: float) -> bool:
        """Say whether all views have reached the position before the time has passed."""
        names = [follower.projection.name for follower in self._followers]
        return await self._progress.wait_for(names, position, timeout_s) >= position

    def health(self) -> tuple[bool, str]:
        """Say whether every projection follows; the detail names each that doesn't, and where it stands."""
        troubles = [
            f"{follower.projection.name} {follower.stopped or follower.trouble}"
            for follower in self._followers
            if follower.stopped or follower.trouble
        ]
        if troubles:
            return False, "; ".join(troubles)
        slowest = min((follower.position for follower in self._followers), default=0)
        return bool(self._tasks), f"{len(self._followers)} views at position {slowest}"
