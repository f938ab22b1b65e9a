"""`python -m unittest plain.test_plain`, in the folder above."""

# ruff: noqa: PT009, PT027 - Python's own unittest needs no package

import json
import unittest
from pathlib import Path
from typing import Any

from plain.contract import Failed, Job, Poison, answer, quarantined, read_job
from plain.handlers import HANDLERS
from plain.worker import Attempt, Worker

GOLDEN = Path(__file__).parents[3] / "contracts/stepbus/contracts/golden/messages/step.requested.v1.json"
RESULTS = "stepbus.results."


def job(**context: Any) -> Job:
    event = json.loads(GOLDEN.read_bytes())
    event["data"] |= {"handler": "conform.probe", "inputs": {"context": context, "results": {}}, "timeout_ms": 200}
    return read_job(json.dumps(event | {"later": 1}).encode(), RESULTS)


async def ended(**context: Any) -> Any:
    """Give the answer that ends a job of the probe."""
    worker = Worker("nats://nowhere", "stepbus", "w", HANDLERS)
    message = await worker.ending(job(**context), HANDLERS["conform.probe"], 1)
    return json.loads(message.body)


class Reading(unittest.TestCase):
    def test_what_is_no_job_says_why(self) -> None:
        whole = json.loads(GOLDEN.read_bytes())
        for body, code, pointer in [
            (b"{", "json.malformed", ""),
            (b"\xff", "json.malformed", ""),
            (b"[]", "envelope.invalid", "/specversion"),
            (json.dumps(whole | {"type": "task.failed"}).encode(), "message.unknown_type", "/type"),
            (json.dumps(whole | {"data": None}).encode(), "message.missing", "/data"),
            (
                json.dumps(whole | {"data": whole["data"] | {"attempt": "1"}}).encode(),
                "message.invalid",
                "/data/attempt",
            ),
            (GOLDEN.read_bytes().replace(b"stepbus.results.3", b"stepbus.events"), "message.replyto", "/data/replyto"),
        ]:
            with self.subTest(code), self.assertRaises(Poison) as found:
                read_job(body, RESULTS)
            self.assertEqual((found.exception.code, found.exception.pointer), (code, pointer))

    def test_what_is_no_job_is_handed_over_whole(self) -> None:
        entry = json.loads(quarantined("stepbus", "q", b"{", Poison("json.malformed", "", "why")).body)
        self.assertEqual(
            (entry["type"], entry["data"]["channel"], entry["data"]["body"]), ("message.quarantined", "jobs.q", "ew==")
        )

    def test_what_no_message_can_carry_is_refused(self) -> None:
        for value, code in [(float("nan"), "worker.result_invalid"), ("x" * 262_144, "worker.result_too_large")]:
            with self.assertRaises(Failed) as found:
                answer(job(), "w", "step.completed", result=value)
            self.assertEqual(found.exception.error["code"], code)


class Probing(unittest.IsolatedAsyncioTestCase):
    async def test_an_answer_echoes_what_its_job_said(self) -> None:
        event = await ended(do="echo", value=[1, "é", None])
        asked = json.loads(GOLDEN.read_bytes())
        self.assertEqual(event["data"]["result"], {"echo": [1, "é", None]})
        self.assertEqual((event["type"], event["data"]["token"]), ("step.completed", asked["data"]["token"]))
        self.assertEqual((event["causationid"], event["tenant"]), (asked["id"], asked["tenant"]))

    async def test_a_failure_says_what_it_is(self) -> None:
        cases: list[tuple[dict[str, Any], str, bool]] = [
            ({"do": "fail", "code": "a.b", "message": "m", "retryable": True}, "a.b", True),
            ({"do": "big", "size": 300_000}, "worker.result_too_large", False),
            ({"do": "sleep", "seconds": 60, "silent": True}, "worker.timeout", True),
            ({"do": "sleep", "seconds": "long"}, "probe.unknown", False),
            ({}, "probe.unknown", False),
        ]
        for context, code, retryable in cases:
            event = await ended(**context)
            self.assertEqual((event["data"]["error"]["code"], event["data"]["error"]["retryable"]), (code, retryable))

    async def test_an_effect_is_had_once_per_key(self) -> None:
        for _ in range(2):
            self.assertEqual((await ended(do="effect"))["data"]["result"], {"effects": 1})

    async def test_work_says_that_it_is_alive(self) -> None:
        beats = []

        async def heartbeat() -> None:
            beats.append(1)

        await HANDLERS["conform.probe"](Attempt(job(do="sleep", seconds=0.3), heartbeat))
        self.assertGreaterEqual(len(beats), 3)


if __name__ == "__main__":
    unittest.main()
