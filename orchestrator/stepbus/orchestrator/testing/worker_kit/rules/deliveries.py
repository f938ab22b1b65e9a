"""A job may be delivered twice, and is done with only when its answer is sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from stepbus.orchestrator.testing.worker_kit.bench import Bench
from stepbus.orchestrator.testing.worker_kit.heard import ENDINGS, Heard, Job
from stepbus.orchestrator.testing.worker_kit.rules.answers import demand_result
from stepbus.orchestrator.testing.worker_kit.rules.rule import Rules
from stepbus.orchestrator.testing.worker_kit.verdict import Broken, NotTried, demand

RULES = Rules()
SETTLED = Rules()
"""Rules that look back on all jobs once what was not acked has come back."""


@RULES.rule("delivery.twice", "A job that comes again when it was answered does no harm", "echo")
async def _twice(bench: Bench) -> None:
    job = await bench.send("echo", "twice")
    await bench.success(job)
    await bench.deliver(job)
    await bench.ending(await bench.send("echo"))
    for answer in bench.answers(job, *ENDINGS):
        demand(answer.type == "step.completed", "the same answer to the same job", str(answer.error))
        demand_result(bench, job, answer)


@RULES.rule("delivery.effect_once", "A job that comes again has its effect once", "effect")
async def _effect_once(bench: Bench) -> None:
    job = await bench.send("effect")
    demand_result(bench, job, await bench.success(job))
    await bench.deliver(job)
    await bench.ending(await bench.send("effect"))
    await bench.came(lambda: len(bench.answers(job, *ENDINGS)) > 1, 1.0)  # no answer is as good
    for answer in bench.answers(job, "step.completed"):
        demand_result(bench, job, answer)


@RULES.rule("delivery.effect_of_attempts", "The attempts of a step share one effect, by `idempotency_key`", "effect")
async def _effect_of_attempts(bench: Bench) -> None:
    first = await bench.send("effect")
    await bench.ending(first)
    known = {heard.body for heard in bench.answers(first)}
    fields = {"task_id": first.task_id, "idempotency_key": first.data["idempotency_key"]}
    again = await bench.send("effect", attempt=2, **fields)

    def of_the_second() -> list[Heard]:
        return [heard for heard in bench.answers(again, *ENDINGS) if heard.body not in known]

    if not await bench.came(of_the_second, bench.pace.patience_s):
        raise Broken("an answer to the second attempt", "nothing")
    demand_result(bench, again, of_the_second()[0])


@RULES.rule(
    "delivery.other_handler",
    "A job of a handler that the worker does not serve is given back, or fails: it is neither run nor lost",
    "echo",
)
async def _other_handler(bench: Bench) -> None:
    job = await bench.send("echo", handler=f"{bench.contract.handler}_not")
    await bench.ending(await bench.send("echo"))  # by now the other one was taken too
    await bench.came(lambda: bench.answers(job, *ENDINGS), 1.0)
    if not bench.answers(job, *ENDINGS) and await _is_given_back(bench, job):
        return
    answer = next(iter(bench.answers(job, *ENDINGS)), None)
    found = "nothing" if answer is None else str(answer.type)
    demand(found == "step.failed", "step.failed, or the job given back", found)


async def _is_given_back(bench: Bench, job: Job) -> bool:
    """Say whether a job comes to another reader of the queue; for sure, where the worker can be killed meanwhile."""
    async with bench.beside() as reader:
        if bench.control is None:
            within_s = bench.pace.settled_s + bench.pace.patience_s
            if await reader.back(bench.body(job), within_s, lambda: bench.answers(job, *ENDINGS)):
                return True
            if not bench.answers(job, *ENDINGS):
                raise NotTried("the job was not seen to be given back, which --command would make sure of")
            return False
        await bench.control.kill()
        within_s = bench.pace.settled_s + bench.pace.start_s  # until the broker misses the dead
        came = await reader.read(within_s, lambda came: any(delivery.body == bench.body(job) for delivery in came))
    await bench.control.start()
    await bench.is_served(bench.pace.start_s)
    return any(delivery.body == bench.body(job) for delivery in came)


@SETTLED.rule("delivery.acked", "A job is acked when it was answered, and does not come back", "echo")
async def _acked(bench: Bench) -> None:
    settled = await bench.seen(settle)
    for job in bench.jobs:
        if job.scenario == "echo" and settled.is_over(bench.answers(job, *ENDINGS)):
            name = f"that of task {job.task_id}"
            demand(bench.body(job) not in settled.back, "no job that was answered to come back", name)
            again = settled.again(bench.answers(job, *ENDINGS))
            demand(not again, "a job to be answered once", f"{len(again) + 1} answers or more to {name}")


@dataclass(frozen=True, slots=True)
class Settled:
    """The time in which a broker delivers again what was not acked. `back` is what came to another reader in it."""

    since_s: float
    back: set[bytes]

    def is_over(self, heard: Sequence[Heard]) -> bool:
        """Say whether a message was done with before that time. An ack that came late, earlier, is no fault."""
        return any(one.at_s < self.since_s for one in heard)

    def again(self, heard: Sequence[Heard]) -> Sequence[Heard]:
        """Give what was said in that time."""
        return [one for one in heard if one.at_s >= self.since_s]


async def settle(bench: Bench) -> Settled:
    """Wait until all that was not acked has come back."""
    since_s = monotonic()
    async with bench.beside() as reader:
        back = {delivery.body for delivery in await reader.read(bench.pace.settled_s)}
    return Settled(since_s, back)


@RULES.rule(
    "delivery.ack_last", "A job is acked after its answer: a worker killed at work loses none", "sleep", command=True
)
async def _ack_last(bench: Bench) -> None:
    assert bench.control is not None
    job = await bench.send("sleep", timeout_ms=30_000)
    await bench.begun(job)
    await bench.control.kill()
    if bench.answers(job, *ENDINGS):
        raise NotTried("the job was answered before the worker could be killed: sleep takes too little time")
    await bench.control.start()
    takes_s = bench.scenario("sleep").takes_s or 0
    await bench.ending(job, bench.pace.start_s + bench.pace.settled_s + takes_s)
