"""Every message of a worker is a CloudEvent that carries on what its job said."""

from typing import Any

from stepbus.contracts import envelope, messages
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.testing.worker_kit.bench import TRACE, Bench
from stepbus.orchestrator.testing.worker_kit.rules.answers import ordinary
from stepbus.orchestrator.testing.worker_kit.rules.rule import Rules
from stepbus.orchestrator.testing.worker_kit.verdict import Broken, demand, demand_same

RULES = Rules()

_SCHEMAS: dict[Any, str] = {message.TYPE: message.dataschema() for message in messages.MESSAGES}


@RULES.rule("envelope.valid", "An answer is a CloudEvent 1.0 in JSON, its data too", "echo")
async def _valid(bench: Bench) -> None:
    _, answer = await bench.seen(ordinary)
    try:
        envelope.read(answer.body)
    except Refused as refused:
        raise Broken("a CloudEvent", str(refused)) from refused


@RULES.rule("envelope.dataschema", "A `dataschema`, where there is one, is that of the message's type", "echo")
async def _dataschema(bench: Bench) -> None:
    _, answer = await bench.seen(ordinary)
    named = answer.attribute("dataschema")
    if named is not None:
        demand_same("dataschema", _SCHEMAS.get(answer.type), named)


@RULES.rule("envelope.partitionkey", "The `partitionkey` of an answer is the task's id", "echo")
async def _partitionkey(bench: Bench) -> None:
    job, answer = await bench.seen(ordinary)
    demand_same("partitionkey", job.task_id, answer.attribute("partitionkey"))


@RULES.rule("envelope.causation", "The `causationid` of an answer is the id of its job", "echo")
async def _causation(bench: Bench) -> None:
    job, answer = await bench.seen(ordinary)
    demand_same("causationid", job.id, answer.attribute("causationid"))


@RULES.rule("envelope.correlation", "An answer carries the job's `correlationid`", "echo")
async def _correlation(bench: Bench) -> None:
    job, answer = await bench.seen(ordinary)
    demand_same("correlationid", job.event["correlationid"], answer.attribute("correlationid"))


@RULES.rule("envelope.tenant", "An answer carries the job's `tenant`", "echo")
async def _tenant(bench: Bench) -> None:
    job, answer = await bench.seen(ordinary)
    demand_same("tenant", job.event["tenant"], answer.attribute("tenant"))


@RULES.rule("envelope.trace", "An answer belongs to the job's trace: its `traceparent` has the same trace id", "echo")
async def _trace(bench: Bench) -> None:
    _, answer = await bench.seen(ordinary)
    found = str(answer.attribute("traceparent"))
    demand(found.split("-")[1:2] == [TRACE], f"a traceparent of the trace {TRACE}", found)
