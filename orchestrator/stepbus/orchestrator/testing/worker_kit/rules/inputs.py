"""What a job may hold: any value of JSON, and what a newer coordinator may add."""

from typing import Any

from stepbus.orchestrator.testing.worker_kit.bench import Bench, Change
from stepbus.orchestrator.testing.worker_kit.rules.answers import demand_result
from stepbus.orchestrator.testing.worker_kit.rules.rule import Rules
from stepbus.orchestrator.testing.worker_kit.verdict import NotTried, demand_same

RULES = Rules()

_EMPTY = [None, 0, False, "", [], {}, [None], {"": None}, True, 1, -1]
_NUMBERS = [2**53 - 1, -(2**53 - 1), 0.1, -2.5e-7, 1e21, 123456789.125]
_TEXTS = [
    "naïve café",
    "日本語のテキスト",
    "🚀👩‍👩‍👧‍👦",
    "e\u0301 is not \u00e9",
    "\u202eright to left\u202c",
    "line\nbreak\ttab\r\\ \"quoted\" 'single' /slash",
    "\u2028\u2029\ufeff\u007f\u0001",
    "'; DROP TABLE tasks; --",
    "<script>alert(1)</script>",
    "${value} %s {0} {{x}} $(id) `id`",
    "../../etc/passwd",
]
_KEYS = {"__proto__": 1, "constructor": {"prototype": 2}, "a.b/c~d": 3, " ": 4, "ключ": 5, "type": 6, "id": 7}
_LEVELS = 40
_LARGE = 200_000


async def _carried(bench: Bench, value: Any, change: Change | None = None, **fields: Any) -> None:
    if not bench.scenario("echo").carries_values:
        raise NotTried("the contract's scenario echo has no ${value} in its inputs and its result")
    job = await bench.send("echo", value, change, **fields)
    demand_result(bench, job, await bench.success(job))


async def _tolerated(bench: Bench, change: Change | None = None, **fields: Any) -> None:
    job = await bench.send("echo", "tolerated", change, **fields)
    demand_result(bench, job, await bench.success(job))


@RULES.rule("input.empty", "Null, 0, false and what is empty come back as they were", "echo")
async def _empty(bench: Bench) -> None:
    await _carried(bench, _EMPTY)
    for value in (None, 0, False, ""):
        await _carried(bench, value)


@RULES.rule("input.numbers", "Numbers come back as they were, to the last digit", "echo")
async def _numbers(bench: Bench) -> None:
    await _carried(bench, _NUMBERS)


@RULES.rule("input.unicode", "Text of any script, and such as breaks careless programs, comes back as it was", "echo")
async def _unicode(bench: Bench) -> None:
    await _carried(bench, _TEXTS)


@RULES.rule("input.keys", "Objects may have any keys", "echo")
async def _keys(bench: Bench) -> None:
    await _carried(bench, _KEYS)


@RULES.rule("input.nested", f"Values may be nested {_LEVELS} levels deep", "echo")
async def _nested(bench: Bench) -> None:
    value: Any = "innermost"
    for level in range(_LEVELS):
        value = [value] if level % 2 else {"level": value}
    await _carried(bench, value)


@RULES.rule("input.large", f"A payload of {_LARGE:,} bytes is read and answered", "echo")
async def _large(bench: Bench) -> None:
    await _carried(bench, "x" * _LARGE)


@RULES.rule("input.names", "Step names may hold all that a template allows, to their full length", "echo")
async def _names(bench: Bench) -> None:
    for step in ("a.b@c+d:e-f_g", "s" * 128):
        job = await bench.send("echo", "named", step=step)
        answer = await bench.success(job)
        demand_same("step", step, answer.data.get("step", step))


@RULES.rule("input.unknown_fields", "Fields that a worker does not know are let be", "echo")
async def _unknown_fields(bench: Bench) -> None:
    def change(event: dict[str, Any]) -> None:
        event["stepbuspriority"] = 7
        event["data"]["priority"] = {"of": "a newer coordinator"}
        event["data"]["inputs"]["secrets"] = ["not known yet"]

    await _tolerated(bench, change)


@RULES.rule("input.newer_version", "A job in a newer version of its schema is read as far as it is known", "echo")
async def _newer_version(bench: Bench) -> None:
    def change(event: dict[str, Any]) -> None:
        event["dataschema"] = event["dataschema"].rpartition("/")[0] + "/2"

    await _tolerated(bench, change)


@RULES.rule("input.few_attributes", "A job needs no attribute but `specversion`, `id`, `source` and `type`", "echo")
async def _few_attributes(bench: Bench) -> None:
    def change(event: dict[str, Any]) -> None:
        for name in ("time", "datacontenttype", "dataschema", "partitionkey", "correlationid", "causationid"):
            del event[name]
        del event["tenant"], event["traceparent"]

    await _tolerated(bench, change)
