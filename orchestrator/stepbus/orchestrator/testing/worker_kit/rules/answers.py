"""Every job is answered, where and as it asked for it."""

from typing import Any

from pydantic import ValidationError

from stepbus.contracts.messages import Answer, StepCompleted, StepFailed
from stepbus.contracts.validation import problems_of
from stepbus.orchestrator.testing.worker_kit.bench import Bench
from stepbus.orchestrator.testing.worker_kit.heard import ENDINGS, Heard, Job
from stepbus.orchestrator.testing.worker_kit.rules.rule import Rules
from stepbus.orchestrator.testing.worker_kit.verdict import Broken, demand, demand_same

RULES = Rules()

ATTEMPT = 3
STEP = "probe-2"
_ECHOED = {"/data/task_id", "/data/step", "/data/attempt", "/data/token"}
_ENDINGS: dict[Any, type[Answer]] = {"step.completed": StepCompleted, "step.failed": StepFailed}


async def ordinary(bench: Bench) -> tuple[Job, Heard]:
    """Give an ordinary job, the third attempt of its step, and its answer."""
    job = await bench.send("echo", "ordinary", step=STEP, attempt=ATTEMPT)
    return job, await bench.ending(job)


@RULES.rule("answer.comes", "A job is answered", "echo", gate=True)
async def _comes(bench: Bench) -> None:
    await bench.send("echo")
    came = await bench.came(lambda: bench.heard, bench.pace.start_s)
    demand(came, f"an answer within {bench.pace.start_s:g} s", bench.silence)


@RULES.rule("answer.json", "An answer is JSON that every strict reader takes the same way", "echo", gate=True)
async def _json(bench: Bench) -> None:
    already = len(bench.heard)
    await bench.send("echo")
    await bench.came(lambda: bench.heard[already:], bench.pace.patience_s)
    unreadable = [heard for heard in bench.heard if heard.problem]
    demand(not unreadable, "JSON", unreadable[0].problem if unreadable else "")


@RULES.rule("answer.again", "A worker goes on to the next job when one is done", "echo", gate=True)
async def _again(bench: Bench) -> None:
    for _ in range(3):
        await bench.ending(await bench.send("echo"))


@RULES.rule("answer.replyto", "An answer goes to the `replyto` of its job", "echo")
async def _replyto(bench: Bench) -> None:
    job, answer = await bench.seen(ordinary)
    demand_same("an answer on", job.answers, answer.channel)


@RULES.rule("answer.token", "An answer echoes the job's token", "echo")
async def _token(bench: Bench) -> None:
    job, answer = await bench.seen(ordinary)
    demand_same("token", job.data["token"], answer.data.get("token"))


@RULES.rule("answer.attempt", "An answer names the attempt of its job", "echo")
async def _attempt(bench: Bench) -> None:
    _, answer = await bench.seen(ordinary)
    demand_same("attempt", ATTEMPT, answer.data.get("attempt"))


@RULES.rule("answer.step", "An answer names the task and the step of its job", "echo")
async def _step(bench: Bench) -> None:
    job, answer = await bench.seen(ordinary)
    demand_same("task_id", job.task_id, answer.data.get("task_id"))
    demand_same("step", STEP, answer.data.get("step"))


@RULES.rule("answer.schema", "An answer matches the schema of its type", "echo")
async def _schema(bench: Bench) -> None:
    _, answer = await bench.seen(ordinary)
    _demand_schema(answer)
    for name in ("permanent", "retryable"):
        if bench.contract.scenario(name) is not None:
            _demand_schema(await bench.ending(await bench.send(name)))


def _demand_schema(heard: Heard) -> None:
    """Demand the schema of an answer, but for what it echoes: each of that has a rule of its own."""
    try:
        _ENDINGS[heard.type].model_validate(heard.attribute("data"))
    except ValidationError as error:
        problems = [problem for problem in problems_of(error, "message", "/data") if problem.pointer not in _ECHOED]
        if problems:
            raise Broken(f"data as {heard.type} has it", f"at {problems[0].pointer}: {problems[0].message}") from error


@RULES.rule("answer.result", "A result is the one that the contract expects", "echo")
async def _result(bench: Bench) -> None:
    job = await bench.send("echo", "one of many")
    demand_result(bench, job, await bench.success(job))


@RULES.rule("answer.ids", "Two answers have two ids", "echo")
async def _ids(bench: Bench) -> None:
    for value in ("first", "second"):
        await bench.ending(await bench.send("echo", value))
    bodies: dict[tuple[Any, Any], bytes] = {}
    for heard in bench.heard:
        if heard.type in ENDINGS:
            name = (heard.attribute("source"), heard.attribute("id"))
            first = bodies.setdefault((str(name[0]), str(name[1])), heard.body)
            demand(first == heard.body, "another id for another answer", f"{name[1]} twice")


@RULES.rule("answer.many", "Many jobs at once are each answered with their own result", "echo")
async def _many(bench: Bench) -> None:
    jobs = [await bench.send("echo", number) for number in range(20)]
    for job in jobs:
        demand_result(bench, job, await bench.success(job))
    for job in jobs:
        tokens = {heard.data.get("token") for heard in bench.answers(job, *ENDINGS) if "token" in heard.data}
        demand(len(tokens) <= 1, "one token for all that is said of a job", f"{len(tokens)}")


def demand_result(bench: Bench, job: Job, answer: Heard) -> None:
    """Demand the result that the contract expects of a job.

    Raises:
        Broken: it is another, or breaks the schema.
    """
    scenario, result = bench.scenario(job.scenario), answer.data.get("result")
    if scenario.is_exact:
        demand_same("result", scenario.filled(scenario.result, job.value), result)
    problem = next(bench.contract.results.problems(result, "/result"), None)
    if problem is not None:
        raise Broken("a result that its schema takes", f"at {problem.pointer}: {problem.message}")
