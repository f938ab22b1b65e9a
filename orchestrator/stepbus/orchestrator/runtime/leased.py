"""What one process does for all: begun while it holds the lease, ended when another has it."""

import asyncio
from collections.abc import Awaitable, Callable

from stepbus.orchestrator.ports import Role, end_tasks

_LOOK_S = 0.1


async def while_held(
    held: asyncio.Event, prepare: Callable[[], Awaitable[None]], run: Callable[[], Awaitable[None]]
) -> None:
    """Run while a lease is held, again each time that it is; before that, prepare. For ever, unless it fails."""
    while True:
        await held.wait()
        await prepare()
        running = asyncio.ensure_future(run())
        try:
            while held.is_set() and not running.done():
                await asyncio.wait([running], timeout=_LOOK_S)
            if running.done():
                return running.result()
        finally:
            await end_tasks(running)


class LeasedRole:
    """A role that one process has for all. A new one is made each time that the lease comes here."""

    def __init__(self, held: asyncio.Event, make: Callable[[], Role]) -> None:
        self._held = held
        self._make = make
        self._role: Role | None = None
        self._watching: asyncio.Task[None] | None = None
        self._trouble = ""

    async def start(self) -> str:
        """Begin once in any case, so that what others need of the role is there."""
        self._role = self._make()
        line = await self._role.start()
        self._watching = asyncio.create_task(self._watch(), name="leased role")
        return line

    async def stop(self) -> None:
        """End."""
        await end_tasks(self._watching)
        await self._rest()

    def health(self) -> tuple[bool, str]:
        """Say how the role is, or that another process has it."""
        if self._trouble:
            return False, self._trouble
        return (True, "another process has it") if self._role is None else self._role.health()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                if self._held.is_set() and self._role is None:
                    role = self._make()
                    await role.start()
                    self._role = role
                elif not self._held.is_set():
                    await self._rest()
                self._trouble = ""
            except Exception as error:  # noqa: BLE001 - it is tried again, and shown meanwhile
                self._trouble = repr(error)

    async def _rest(self) -> None:
        role, self._role = self._role, None
        if role is not None:
            await role.stop()
