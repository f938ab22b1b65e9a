"""The demo ends as it says and leaves nothing behind; its orders, its template and its handlers fit together."""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from stepbus.contracts.problems import Problem
from stepbus.contracts.schema import compile_schema
from stepbus.contracts.template import StepTemplate, TaskTemplate, check
from stepbus.orchestrator.testing.waiting import wait_until
from stepbus.worker import Worker
from stepbus.worker.testing import Called, call
from tests.support import typescript
from tests.support.command_line import ROOT, environment

FOLDER = ROOT / "examples" / "order_fulfilment"
ORDERS = [json.loads(line) for line in (FOLDER / "orders.jsonl").read_text(encoding="utf-8").splitlines()]
DECLINED = next(order for order in ORDERS if order["expect"]["status"] == "error")
TASK_ID = UUID("0192b7c4-0000-7000-8000-000000000001")
IN_TYPESCRIPT = ("reserve_inventory", "create_shipment", "send_confirmation")
CALL_EACH = """
const { handlers } = await import("./dist/src/handlers.js");
const results = [];
for (const { handler, inputs, job } of JSON.parse(process.argv[1])) {
  results.push(await handlers[handler](inputs, { job }));
}
console.log(JSON.stringify(results));
"""


def demo(folder: Path = FOLDER, arguments: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(folder / "demo.py"), *arguments]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=110)


def folder_of(output: str) -> str:
    """The folder that a demo made for itself, as it said."""
    found = re.search(r"log (\S+)/data", output)
    assert found, output
    return found[1]


def processes_of(folder: str) -> list[str]:
    """The processes that name this folder in their command or their open files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            texts = [(process / "cmdline").read_bytes().decode(errors="replace")]
            texts += [str(link.readlink()) for link in (process / "fd").iterdir()]
        except OSError:  # it has ended, or is somebody else's
            continue
        if any(folder in text for text in texts):
            found.append(texts[0])
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A demo to be changed, with a single order, whose card is declined."""
    folder = tmp_path / "examples" / "order_fulfilment"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "orders.jsonl").write_text(json.dumps(DECLINED) + "\n")
    return folder


def test_every_order_ends_as_it_should_through_retry_timeout_refusal_and_a_kill() -> None:
    typescript.build()
    played = demo()

    assert played.returncode == 0, played.stdout + played.stderr
    for said in (
        "typescript-1: node",
        r"kill -9 \d+: python-[12], in the middle of ORD-1017's pack_order",
        r"ORD-1005  create_shipment #1 failed \(carrier.busy\): it is tried again",
        r"ORD-1007  authorise_payment #1 failed \(card.declined\): it has failed for good",
        r"ORD-1011  check_fraud #1 (timed out|failed)",
        r"ORD-1017  pack_order #1 timed out \(step.timed_out\): it is tried again",
        r"25 tasks, \d+ events, 0 violations",
        "25 tasks folded anew from their first event, 25 equal the live state",
        "25 orders, 0 surprises",
    ):
        assert re.search(said, played.stdout), (said, played.stdout)
    assert len(re.findall(r"ORD-10\d\d +[0-9a-f-]{36}  complete  10/10", played.stdout)) >= 24
    assert not Path(folder_of(played.stdout)).exists()
    assert not processes_of(folder_of(played.stdout))


def test_an_end_that_nobody_expects_fails_the_demo(copy: Path) -> None:
    (copy / "orders.jsonl").write_text(json.dumps({**DECLINED, "expect": {"status": "complete"}}) + "\n")
    played = demo(copy)

    assert played.returncode == 1
    assert "ORD-1007: expected the task to be complete, but it is error" in played.stdout
    assert "in Python stands in for the one in TypeScript: workers/typescript is not built" in played.stdout


def test_a_worker_that_ends_fails_the_demo_with_what_it_said_last(copy: Path) -> None:
    (copy / "worker.py").write_text("raise SystemExit('out of paper')\n")
    played = demo(copy, ["--keep"])
    kept = Path(folder_of(played.stdout))
    try:
        assert played.returncode == 1
        first = re.search(r"expected (python-[12]) to run, but it ended with 1", played.stdout)
        assert first, played.stdout
        assert f"{first[1]} | out of paper" in played.stdout
        assert (kept / "data" / "log.db").is_file()
        assert not processes_of(str(kept))
    finally:
        shutil.rmtree(kept)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_ends_its_processes(copy: Path, number: signal.Signals, tmp_path: Path) -> None:
    (copy / "worker.py").write_text((copy / "worker.py").read_text().replace("BANK_S, ", "BANK_S = 60\n_, "))
    said = tmp_path / "said"
    with said.open("wb") as output:
        playing = subprocess.Popen(
            [sys.executable, "-u", str(copy / "demo.py")], env=environment(), stdout=output, stderr=output
        )
    asyncio.run(wait_until(lambda: "submitted" in said.read_text(), within_s=60))
    playing.send_signal(number)

    assert playing.wait(60) == 130, said.read_text()
    assert not Path(folder_of(said.read_text())).exists()
    assert not processes_of(folder_of(said.read_text()))


# The template, the orders and the handlers of both languages.


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[str, Worker]]:
    """The worker that serves each handler."""
    monkeypatch.syspath_prepend(str(FOLDER))
    modules = ("shop", "worker", "shipping")
    found = [import_module(name) for name in modules]
    yield {handler: module.worker for module in found[1:] for handler in module.worker.handlers}
    for name in modules:
        del sys.modules[name]


@pytest.fixture(scope="module")
def template() -> TaskTemplate:
    return check((FOLDER / "template.yaml").read_bytes(), "yaml")


async def called(
    worker: Worker, step: StepTemplate, order: Mapping[str, Any], results: Mapping[str, Any], attempt: int
) -> Called:
    needed = {name: results[name] for name in step.depends_on}
    context = order["context"]
    return await call(
        worker, step.handler, context=context, results=needed, step=step.name, attempt=attempt, task_id=TASK_ID
    )


def problems(schema: Any, value: Any) -> list[Problem]:
    assert schema is not None
    return list(compile_schema(schema).problems(value))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order["context"]["order_id"])
async def test_what_the_handlers_give_for_an_order_is_what_the_template_wants(
    order: dict[str, Any], workers: Mapping[str, Worker], template: TaskTemplate
) -> None:
    assert not problems(template.context_schema, order["context"])
    why = order["expect"].get("why", {})
    results: dict[str, Any] = {}
    for step in template.steps:
        if results.keys() >= set(step.depends_on):
            attempt = 2 if why.get("step") == step.name and order["expect"]["status"] == "complete" else 1
            ran = await called(workers[step.handler], step, order, results, attempt)
            if why.get("step") == step.name and order["expect"]["status"] == "error":
                assert (ran.error.code, ran.error.retryable) == (why["codes"][0], False)
                continue
            results[step.name] = ran.result
            assert not problems(step.result_schema, ran.result), step.name
    assert (len(results) == len(template.steps)) is (order["expect"]["status"] == "complete")


def test_no_handler_is_missing_and_none_is_left_over(workers: Mapping[str, Worker], template: TaskTemplate) -> None:
    assert workers.keys() == {step.handler for step in template.steps}


def test_the_handlers_in_typescript_give_what_those_in_python_give(
    workers: Mapping[str, Worker], template: TaskTemplate
) -> None:
    typescript.build()
    pairs = [(step, order) for order in ORDERS[:5] for step in template.steps if step.name in IN_TYPESCRIPT]
    nothing = dict.fromkeys(step.name for step in template.steps)
    expected = [asyncio.run(called(workers[step.handler], step, order, nothing, 2)).result for step, order in pairs]
    asked = [
        {
            "handler": step.handler,
            "inputs": {"context": order["context"], "results": {}},
            "job": {"idempotencyKey": f"{TASK_ID}/{step.name}", "attempt": 2},
        }
        for step, order in pairs
    ]
    answered = subprocess.run(
        ["node", "--input-type=module", "-e", CALL_EACH, "--", json.dumps(asked)],
        cwd=typescript.WORKER,
        env={**environment(), "PATH": typescript.PATH},
        capture_output=True,
        check=False,
    )

    assert answered.returncode == 0, answered.stderr.decode()
    assert json.loads(answered.stdout) == expected
