"""A worker that is told to stop finishes what it has in hand or gives it back, and ends."""

import asyncio
from dataclasses import dataclass
from time import monotonic

from stepbus.orchestrator.testing.worker_kit.bench import Bench
from stepbus.orchestrator.testing.worker_kit.heard import ENDINGS, Job
from stepbus.orchestrator.testing.worker_kit.rules.rule import Rules
from stepbus.orchestrator.testing.worker_kit.verdict import NotTried, demand

RULES = Rules()

_WAITING = 5


@dataclass(frozen=True, slots=True)
class Stop:
    """What a stop under work showed: what became of the jobs, and after how long the last unanswered one came back."""

    has_ended: bool
    answered: int
    given_back: int
    lost: int
    back_after_s: float


async def stop(bench: Bench) -> Stop:
    """Tell the worker to stop while one job is in hand and others wait; then see what became of them, and start it."""
    assert bench.control is not None
    jobs = [await bench.send("sleep", timeout_ms=30_000)]
    await bench.begun(jobs[0])
    jobs += [await bench.send("echo", number) for number in range(_WAITING)]
    if bench.answers(jobs[0], *ENDINGS):
        raise NotTried("the job was answered before the worker could be told to stop: sleep takes too little time")
    bench.control.tell_to_stop()
    has_ended = await bench.control.ended(bench.pace.grace_s)
    await bench.control.kill()
    ended_at_s = monotonic()
    await asyncio.sleep(0.1)  # what was answered last is heard
    found = await _accounts(bench, jobs, has_ended=has_ended, ended_at_s=ended_at_s)
    await bench.control.start()
    return found


async def _accounts(bench: Bench, jobs: list[Job], *, has_ended: bool, ended_at_s: float) -> Stop:
    def open_jobs() -> dict[bytes, Job]:
        return {bench.body(job): job for job in jobs if not bench.answers(job, *ENDINGS)}

    back: dict[bytes, float] = {}
    deadline = ended_at_s + bench.pace.settled_s + bench.pace.patience_s  # only what is lost is waited for so long
    if open_jobs():
        async with bench.beside() as reader:
            while open_jobs().keys() - back.keys() and monotonic() < deadline:
                for delivery in await reader.read(0.2, bool):
                    back.setdefault(delivery.body, monotonic() - ended_at_s)
    waiting = open_jobs()
    given_back = waiting.keys() & back.keys()
    return Stop(
        has_ended=has_ended,
        answered=len(jobs) - len(waiting),
        given_back=len(given_back),
        lost=len(waiting) - len(given_back),
        back_after_s=max((back[body] for body in given_back), default=0.0),
    )


@RULES.rule("stop.ends", "A worker that is told to stop (SIGTERM) ends within its grace", "sleep", command=True)
async def _ends(bench: Bench) -> None:
    found = await bench.seen(stop)
    demand(found.has_ended, f"an end within {bench.pace.grace_s:g} s", "a worker that runs on")


@RULES.rule("stop.loses_nothing", "At a stop each job is answered or comes back", "sleep", command=True)
async def _loses_nothing(bench: Bench) -> None:
    found = await bench.seen(stop)
    expected = f"{found.answered + found.given_back + found.lost} jobs answered or given back"
    demand(not found.lost, expected, f"{found.answered} answered, {found.given_back} given back, {found.lost} lost")


@RULES.rule("stop.gives_back", "What is not answered at a stop is given back at once", "sleep", command=True)
async def _gives_back(bench: Bench) -> None:
    found = await bench.seen(stop)
    if not found.has_ended:
        raise NotTried("the worker did not end: see stop.ends")
    limit_s = bench.pace.redelivery_s / 2
    is_soon = found.back_after_s <= limit_s
    demand(is_soon, f"jobs back within {limit_s:g} s of the end", f"the last one after {found.back_after_s:.1f} s")
