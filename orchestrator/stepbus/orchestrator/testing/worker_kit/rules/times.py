"""A worker says that it is alive, and keeps to the time that an attempt has."""

from itertools import pairwise

from stepbus.contracts.messages import StepHeartbeat
from stepbus.orchestrator.testing.worker_kit.bench import Bench
from stepbus.orchestrator.testing.worker_kit.heard import ENDINGS, HEARTBEAT, Heard, Job
from stepbus.orchestrator.testing.worker_kit.rules.answers import demand_result
from stepbus.orchestrator.testing.worker_kit.rules.rule import Rules
from stepbus.orchestrator.testing.worker_kit.verdict import Broken, NotTried, demand, demand_same

RULES = Rules()

_LAG_S = 2.0
"""How late a message may arrive for reasons that are not the worker's: a busy machine stalls for a second or two."""


async def long_work(bench: Bench) -> Job:
    """Give a job that took longer than an attempt may go without a heartbeat, when it is over."""
    return await _over(bench, "sleep")


async def silent_work(bench: Bench) -> Job:
    """Give a job that takes longer than its attempt may, and says nothing meanwhile, when nothing more is to come."""
    return await _over(bench, "silence")


async def _over(bench: Bench, name: str) -> Job:
    job = await bench.send(name)
    takes_s = bench.scenario(name).takes_s or 0
    await bench.came(lambda: bench.answers(job, *ENDINGS), takes_s + bench.pace.patience_s)
    return job


async def _heartbeats(bench: Bench) -> tuple[Job, list[Heard]]:
    job = await bench.seen(long_work)
    beats = bench.answers(job, HEARTBEAT)
    if not beats:
        raise NotTried("no heartbeat came: see heartbeat.comes")
    return job, beats


@RULES.rule("heartbeat.comes", "Heartbeats come while the work lasts, before the attempt's time is over", "sleep")
async def _comes(bench: Bench) -> None:
    job = await bench.seen(long_work)
    silence_s = _longest_silence_s(bench, job)
    expected = f"a heartbeat within each {job.timeout_s:g} s"
    demand(bench.answers(job, HEARTBEAT), expected, "none")
    demand(silence_s <= job.timeout_s + _LAG_S, expected, f"{silence_s:.1f} s without")


@RULES.rule("heartbeat.echoes", "A heartbeat goes to `replyto` and echoes task, step, attempt and token", "sleep")
async def _echoes(bench: Bench) -> None:
    job, beats = await _heartbeats(bench)
    for beat in beats:
        demand_same("a heartbeat on", job.answers, beat.channel)
        for name in ("task_id", "step", "attempt", "token"):
            demand_same(name, job.data[name], beat.data.get(name))
        StepHeartbeat.model_validate(beat.data)


@RULES.rule("heartbeat.extends", "A heartbeat starts the attempt's time anew: long work succeeds", "sleep")
async def _extends(bench: Bench) -> None:
    job, _ = await _heartbeats(bench)
    demand_result(bench, job, await bench.success(job))


@RULES.rule("deadline.no_late_success", "No success is sent when the attempt's time was over", "silence")
async def _no_late_success(bench: Bench) -> None:
    job = await bench.seen(silent_work)
    successes = bench.answers(job, "step.completed")
    silence_s = _longest_silence_s(bench, job)
    is_late = successes and silence_s > job.timeout_s + _LAG_S
    demand(not is_late, f"no step.completed after {job.timeout_s:g} s of silence", f"one after {silence_s:.1f} s")


@RULES.rule("deadline.retryable", "That the time was over is a failure that another attempt may mend", "silence")
async def _retryable(bench: Bench) -> None:
    job = await bench.seen(silent_work)
    failures = bench.answers(job, "step.failed")
    if not failures:
        raise NotTried("the attempt was not answered as failed, which the coordinator's own deadline makes up for")
    demand_same("retryable", expected=True, found=failures[0].error.get("retryable", True))


@RULES.rule(
    "cancel.lets_go",
    "Work that nobody waits for any more ends with its time, and the worker serves others: the contract tells workers "
    "of no cancellation, and ignores what they answer after one",
    "silence",
    "echo",
)
async def _lets_go(bench: Bench) -> None:
    job = await bench.seen(silent_work)
    other = await bench.send("echo")
    if not await bench.came(lambda: bench.answers(other), bench.pace.patience_s):
        raise Broken(f"another job to be answered after the {job.timeout_s:g} s of the first", "nothing")


def _longest_silence_s(bench: Bench, job: Job) -> float:
    """Give the longest time, from the sending of a job to its ending, in which nothing was heard of it."""
    moments = [job.sent_at_s, *(heard.at_s for heard in bench.answers(job, HEARTBEAT))]
    moments += [heard.at_s for heard in bench.answers(job, *ENDINGS)[:1]]
    return max((after - before for before, after in pairwise(moments)), default=0.0)
