"""How the tasks of whoever stands at a port are ended."""

import asyncio
from typing import Any

_AGAIN_S = 4.0


async def end_tasks(*tasks: "asyncio.Task[Any] | None") -> None:
    """Cancel tasks, and return when they are over, whatever they ended with. None is one that never began.

    A task may miss a cancellation: up to Python 3.11 `asyncio.wait_for` keeps one that comes as what it waits for ends
    (bpo-37658), and so may any library. So what goes on for seconds is cancelled again.
    """
    running = {task for task in tasks if task is not None}
    while running:
        for task in running:
            task.cancel()
        over, running = await asyncio.wait(running, timeout=_AGAIN_S)
        for task in over:
            if not task.cancelled():
                task.exception()  # so that nobody is told that it was never asked for
