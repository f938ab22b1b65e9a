"""What is no job stops no worker, comes back to none, and is handed over whole, so that an operator can see it."""

from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from stepbus.contracts import codec
from stepbus.contracts.messages import QuarantineEntry
from stepbus.contracts.validation import problems_of
from stepbus.orchestrator.testing.worker_kit.bench import Bench
from stepbus.orchestrator.testing.worker_kit.heard import Heard
from stepbus.orchestrator.testing.worker_kit.rules.deliveries import SETTLED, settle
from stepbus.orchestrator.testing.worker_kit.rules.rule import Rules
from stepbus.orchestrator.testing.worker_kit.verdict import Broken, NotTried, demand, demand_same

RULES = Rules()

_EVENT = {"specversion": "1.0", "source": "/stepbus/conform", "type": "step.requested"}


async def not_json(bench: Bench) -> Heard:
    """Give the entry of a message that is cut off."""
    return await _handed_over(bench, b'{"id": "%b", "data": {"task' % uuid4().hex.encode())


@RULES.rule("poison.not_json", "What is no JSON is handed over, and the worker goes on", "echo")
async def _not_json(bench: Bench) -> None:
    await bench.seen(not_json)
    await _goes_on(bench)
    await _handed_over(bench, b"\xff\xfe\x00" + uuid4().bytes)
    await _goes_on(bench)


@RULES.rule("poison.wrong_type", "A message of another type is handed over, and the worker goes on", "echo")
async def _wrong_type(bench: Bench) -> None:
    event = {**_EVENT, "id": uuid4().hex, "type": "task.completed", "data": {"task_id": str(uuid4())}}
    await _handed_over(bench, codec.encode(event))
    await _handed_over(bench, codec.encode([uuid4().hex]))
    await _goes_on(bench)


@RULES.rule("poison.missing_data", "A job that lacks what it must have is handed over, and the worker goes on", "echo")
async def _missing_data(bench: Bench) -> None:
    await _handed_over(bench, codec.encode({**_EVENT, "id": uuid4().hex}))
    data: dict[str, Any] = {"task_id": str(uuid4()), "step": "probe", "attempt": 1, "handler": bench.contract.handler}
    await _handed_over(bench, codec.encode({**_EVENT, "id": uuid4().hex, "data": data}))
    await _goes_on(bench)


@RULES.rule(
    "poison.replyto",
    "A job whose answer would not go to results is handed over: its token is sent nowhere else",
    "echo",
)
async def _replyto(bench: Bench) -> None:
    job = await bench.send("echo", replyto=bench.bus.address("events"))
    await _entry(bench, bench.body(job))
    await _goes_on(bench)


@RULES.rule("poison.entry", "What is handed over says channel, code, pointer and reason, and is on results.0", "echo")
async def _says(bench: Bench) -> None:
    try:
        entry = await bench.seen(not_json)
    except Broken as broken:
        raise NotTried("nothing was handed over: see poison.not_json") from broken
    demand_same("an entry on", "results.0", entry.channel)
    try:
        read = QuarantineEntry.model_validate(entry.attribute("data"))
    except ValidationError as error:
        problem = next(problems_of(error, "message", "/data"))
        raise Broken("data as message.quarantined has it", f"at {problem.pointer}: {problem.message}") from error
    demand_same("channel", bench.contract.jobs, read.channel)


@SETTLED.rule("poison.once", "What was handed over is acked, and does not come back", "echo")
async def _once(bench: Bench) -> None:
    settled = await bench.seen(settle)
    for body in bench.poison:
        demand(body not in settled.back, "no message that was handed over to come back", f"{body[:60]!r}")
        again = settled.again(bench.entries(body))
        demand(not again, "a message to be handed over once", f"{len(again) + 1} times or more: {body[:60]!r}")


async def _handed_over(bench: Bench, body: bytes) -> Heard:
    await bench.send_body(body)
    return await _entry(bench, body)


async def _entry(bench: Bench, body: bytes) -> Heard:
    """Give the entry of a message; if there is none, the message is taken away, so that it spoils no other rule."""
    if await bench.came(lambda: bench.entries(body), bench.pace.patience_s):
        bench.poison.append(body)
        return bench.entries(body)[0]
    async with bench.beside() as reader:
        back = await reader.back(body, bench.pace.settled_s)
    found = "nothing" if back is None else f"nothing, and the message came back {back.count - 1} times"
    raise Broken(f"message.quarantined with the message within {bench.pace.patience_s:g} s", found)


async def _goes_on(bench: Bench) -> None:
    job = await bench.send("echo")
    if not await bench.came(lambda: bench.answers(job), bench.pace.patience_s):
        raise Broken("an answer to the next job", bench.silence)
