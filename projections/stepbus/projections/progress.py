"""How far the views have come: what a read waits for that must see its own write."""

import asyncio
from collections.abc import Iterable

from stepbus.orchestrator.ports import ViewStore

_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.05
_PAUSE_SHARE = 0.25
"""How much longer a wait may get because it is looked for the end of it in pauses only."""


class Progress:
    """The checkpoints of the views. Callers that ask at the same time share one look, however many they are."""

    def __init__(self, views: ViewStore) -> None:
        self._views = views
        self._looks: dict[str, asyncio.Task[int]] = {}

    async def at(self, names: Iterable[str]) -> int:
        """Give the position that all the named views stand for at least."""
        return min(await asyncio.gather(*map(self._look, names)))

    async def wait_for(self, names: Iterable[str], position: int, timeout_s: float) -> int:
        """Give where the named views stand as soon as they have reached the position, or when the time has passed.

        It is looked for again and again, the more rarely the longer it takes.
        """
        names = tuple(names)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            reached = await self.at(names)
            waited_s = loop.time() - begun
            if reached >= position or waited_s >= timeout_s:
                return reached
            pause_s = min(max(_FIRST_PAUSE_S, _PAUSE_SHARE * waited_s), _LONGEST_PAUSE_S)
            await asyncio.sleep(min(pause_s, timeout_s - waited_s))

    async def _look(self, name: str) -> int:
        look = self._looks.get(name)
        if look is None or look.done():
            look = self._looks[name] = asyncio.create_task(self._views.checkpoint(name))
        return await asyncio.shield(look)
