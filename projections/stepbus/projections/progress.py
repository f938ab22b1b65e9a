"""How far the views have come: what a read waits for that must see its own write."""

import asyncio
from collections.abc import Iterable

from stepbus.orchestrator.ports import ViewStore

_POLL_S = 0.005


class Progress:
    """The checkpoints of the views. Callers that ask at the same time share one look, however many they are."""

    def __init__(self, views: ViewStore) -> None:
        self._views = views
        self._looks: dict[str, asyncio.Task[int]] = {}

    async def at(self, names: Iterable[str]) -> int:
        """Give the position that all the named views stand for at least."""
        return min(await asyncio.gather(*map(self._look, names)))

    async def wait_for(self, names: Iterable[str], position: int, timeout_s: float) -> int:
        """Give where the named views stand as soon as they have reached the position, or when the time has passed."""
        names = tuple(names)
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while True:
            reached = await self.at(names)
            if reached >= position or loop.time() >= end:
                return reached
            await asyncio.sleep(_POLL_S)

    async def _look(self, name: str) -> int:
        look = self._looks.get(name)
        if look is None or look.done():
            look = self._looks[name] = asyncio.create_task(self._views.checkpoint(name))
        return await asyncio.shield(look)
