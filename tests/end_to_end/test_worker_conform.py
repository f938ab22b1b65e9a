"""`stepbus worker conform` on real NATS: processes that it starts, kills and stops, and workers that run already."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.orchestrator.testing.worker_kit import RULES
from stepbus.worker import Context, PermanentError, Worker
from tests.support.conforming import conform, ended, redelivering_soon, started

pytestmark = pytest.mark.timeout(300)  # a whole trial, be the machine slow

LIBRARY = "-m stepbus.worker tests.support.probe:worker"

ORDERS = """
handler: orders.charge
queue: orders
result_schema: {type: object, required: [receipt], properties: {receipt: {type: string}}}
scenarios:
  echo: {context: {card: "4242", order: "${value}"}, result: {receipt: r-1, order: "${value}"}}
  permanent: {context: {card: "0000"}, error: {code: [card.declined, card.stolen], retryable: false}}
"""


def python(words: str, **variables: str) -> Sequence[str]:
    given = " ".join(f"{name}={value}" for name, value in variables.items())
    return ("--command", f"env {given} {sys.executable} {words}")


async def test_a_worker_of_the_python_library_passes_every_rule(
    nats_url: str, unique_name: str, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"

    ran = await conform(
        nats_url,
        unique_name,
        *python(LIBRARY, PROBE_EFFECTS=str(tmp_path / "effects")),
        "--worker-log",
        str(log),
        "--json",
    )

    assert ran.code == 0, (ran.rules("failed"), log.read_text())
    assert list(ran.rules("passed")) == [rule.id for rule in RULES]
    assert "serves conform.probe" in log.read_text()


async def test_a_faulty_worker_makes_the_exit_code_1_and_every_report_says_why(
    nats_url: str, unique_name: str, tmp_path: Path
) -> None:
    junit = tmp_path / "junit.xml"
    only = ("--only", "answer", "--only", "deadline.retryable")

    ran = await conform(
        nats_url,
        unique_name,
        *python("-m tests.support.faulty_workers.served WrongToken"),
        *only,
        "--junit",
        str(junit),
    )

    assert ran.code == 1
    assert "failed   answer.token" in ran.said
    assert 'expected  token "' in ran.said
    assert 'found     "made-up"' in ran.said
    suite = ET.parse(junit).getroot()[0]  # noqa: S314 - our own
    failures = {case.get("name"): case[0].get("message") for case in suite if len(case)}
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("12", "1", "0")
    assert list(failures) == ["answer.token"]
    assert 'found "made-up"' in str(failures["answer.token"])


async def test_a_handler_of_ones_own_is_tried_by_its_contract_and_what_that_lacks_is_not_run(
    nats_url: str, unique_name: str, tmp_path: Path
) -> None:
    contract = tmp_path / "orders.yaml"
    contract.write_text(ORDERS)
    worker = Worker(redelivering_soon(nats_url), prefix=unique_name)

    @worker.handler("orders.charge", queue="orders")
    async def charge(order: dict[str, Any], context: Context) -> dict[str, Any]:
        if order["card"] == "0000":
            raise PermanentError("card.declined", f"no money for attempt {context.attempt}")
        return {"receipt": "r-1", "order": order["order"]}

    async with asyncio.TaskGroup() as group:
        serving = group.create_task(worker.serve())
        ran = await conform(nats_url, unique_name, "--contract", str(contract), "--json")
        worker.request_stop()
        await serving

    reasons = {rule_id: rule["reason"] for rule_id, rule in ran.rules("not_run").items()}
    assert ran.code == 0, ran.rules("failed")
    assert (ran.document["handler"], ran.document["queue"]) == ("orders.charge", "orders")
    assert len(reasons.keys() - {"delivery.other_handler"}) == 16  # it is chance whether that job comes to the kit
    assert {"answer.result", "input.unicode", "failure.permanent", "poison.not_json"} <= set(ran.rules("passed"))
    assert reasons["failure.retryable"] == "the contract offers no scenario retryable"
    assert reasons["heartbeat.comes"] == "the contract offers no scenario sleep"


async def test_a_result_that_breaks_the_schema_of_its_contract_is_found(
    nats_url: str, unique_name: str, tmp_path: Path
) -> None:
    contract = tmp_path / "probe.json"
    schema = {"type": "object", "properties": {"echo": {"type": "integer"}}}
    scenarios = {"echo": {"context": {"do": "echo", "value": "text"}}}
    contract.write_text(json.dumps({"handler": "conform.probe", "result_schema": schema, "scenarios": scenarios}))

    ran = await conform(
        nats_url,
        unique_name,
        *python(LIBRARY, PROBE_EFFECTS=os.devnull),
        *("--contract", str(contract), "--only", "answer.result", "--json"),
    )

    assert ran.code == 1
    found = ran.rules("failed")["answer.result"]["found"]
    assert found == 'at /result/echo: expected a whole number, found the text "text"'


async def test_a_worker_that_ends_at_once_is_told_of_with_its_exit_code(nats_url: str, unique_name: str) -> None:
    ran = await conform(nats_url, unique_name, *python("-c 'raise SystemExit(3)'"), "--start", "2", "--json")

    assert ran.code == 1
    assert ran.rules("failed")["answer.comes"]["found"] == "nothing; the worker has ended with 3"
    assert len(ran.rules("not_run")) == len(RULES) - 1


async def test_a_trial_that_is_told_to_stop_leaves_no_worker_behind(
    nats_url: str, unique_name: str, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    worker = f"import os, pathlib, time; pathlib.Path('{file}').write_text(str(os.getpid())); time.sleep(600)"
    trial = await started(nats_url, unique_name, *python(f'-c "{worker}"'), "--json")
    await wait_until(lambda: file.exists() and file.read_text(), within_s=20)

    trial.terminate()
    ran = await ended(trial)

    assert (ran.code, ran.document["error"]["code"]) == (1, "conform.stopped")
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--command", "/nowhere/worker"), "os.enoent"),
        (("--only", "answer.tokn"), "conform.rule"),
        (("--handler", "no handler"), "contract.invalid"),
        (("--prefix", "NO PREFIX"), "channel.prefix"),
        (("--junit", "/nowhere/junit.xml"), "os.enoent"),
    ],
)
async def test_what_can_not_be_tried_is_refused_with_a_code(
    nats_url: str, unique_name: str, arguments: Sequence[str], code: str
) -> None:
    ran = await conform(nats_url, unique_name, *arguments, "--json")

    assert ran.code == 1
    assert ran.document["error"]["code"] == code
