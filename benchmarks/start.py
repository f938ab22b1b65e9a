"""`stepbus dev` with its embedded NATS: from its start to the line that says it is ready, and its memory.

Cold is a data folder that is not there yet; warm is one that an earlier process left.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from stepbus.orchestrator.bench.processes import STEPBUS, child, rss_mib
from stepbus.orchestrator.bench.script import options, tell
from stepbus.orchestrator.bench.stage import READY

SETTLE_S = 1.0


async def started(folder: Path) -> tuple[float, float, float]:
    """Give the seconds until it is ready, and the resident set of the process and of its children. Units: MiB."""
    data = folder / "data"
    command = (*STEPBUS, "dev", "--json", "--port", "0", "--nats-port", "0", "--data", str(data))
    begun = perf_counter()
    async with child(command, folder, "dev", says=READY) as process:
        ready_s = perf_counter() - begun
        await asyncio.sleep(SETTLE_S)
        return ready_s, rss_mib([process.pid]) or 0.0, rss_mib(children_of(process.pid)) or 0.0


def children_of(pid: int) -> list[int]:
    """Give the processes that a process started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def main() -> None:
    """Start twice a run: cold and warm."""
    given = options(__doc__)
    cold, warm = [], []
    for _ in range(given.runs):
        with TemporaryDirectory(prefix="stepbus-start-", dir=given.data) as folder:
            cold.append(asyncio.run(started(Path(folder))))
            warm.append(asyncio.run(started(Path(folder))))
    tell("start to ready, cold", "s", [ready_s for ready_s, _, _ in cold], target=1.0)
    tell("start to ready, warm", "s", [ready_s for ready_s, _, _ in warm], target=1.0)
    tell("idle memory of stepbus dev", "MiB", [own for _, own, _ in warm])
    tell("idle memory of stepbus dev and its broker", "MiB", [own + its for _, own, its in warm], target=120)


if __name__ == "__main__":
    main()
