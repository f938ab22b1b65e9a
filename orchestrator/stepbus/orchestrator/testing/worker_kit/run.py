"""The trial of a worker: one rule after the other, each on a worker that answers."""

import asyncio
from collections.abc import Sequence
from time import monotonic

from stepbus.orchestrator.ports import Bus, end_tasks
from stepbus.orchestrator.testing.worker_kit.bench import Bench, Control, Pace
from stepbus.orchestrator.testing.worker_kit.contract import Contract
from stepbus.orchestrator.testing.worker_kit.report import Finding, Report
from stepbus.orchestrator.testing.worker_kit.rules import RULES, Rule
from stepbus.orchestrator.testing.worker_kit.verdict import Broken, NotTried


async def conform(
    bus: Bus, contract: Contract, pace: Pace, control: Control | None = None, rules: Sequence[Rule] = RULES
) -> Report:
    """Try a worker by these rules. With a `control` it is started, killed and stopped by them, and ended at last.

    The bus must have a prefix of its own: what a coordinator would read there is read here.

    Raises:
        BusUnavailable, Refused: the bus can't be provisioned, or does not take a job.
        OSError: the worker can't be started.
    """
    await bus.provision([contract.queue or contract.handler])
    bench = Bench(bus, contract, pace, control)
    results = await bus.subscribe("results.*")
    listening = asyncio.create_task(bench.listen(results))
    try:
        if control is not None:
            await control.start()
        trial = asyncio.create_task(_tried_all(bench, rules))
        await asyncio.wait({trial, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not trial.done():
            trial.cancel()
            await listening  # says why nothing can be heard
        findings = await trial
    finally:
        await end_tasks(listening)
        if control is not None:
            await control.kill()
        await results.close()
    return Report(contract.handler, contract.queue or contract.handler, findings)


async def _tried_all(bench: Bench, rules: Sequence[Rule]) -> Sequence[Finding]:
    findings: list[Finding] = []
    obstacle = ""
    for rule in rules:
        finding = Finding(rule, "not run", reason=obstacle) if obstacle else await _tried(bench, rule)
        findings.append(finding)
        if finding.outcome == "failed":
            obstacle = await _obstacle(bench, rule)
    return findings


async def _tried(bench: Bench, rule: Rule) -> Finding:
    missing = [name for name in rule.needs if bench.contract.scenario(name) is None]
    if missing:
        return Finding(rule, "not run", reason=f"the contract offers no scenario {missing[0]}")
    if rule.needs_command and bench.control is None:
        return Finding(rule, "not run", reason="needs --command, by which the kit starts, kills and stops the worker")
    began_s = monotonic()
    try:
        await rule.check(bench)
    except Broken as broken:
        return Finding(rule, "failed", broken.expected, broken.found, seconds=monotonic() - began_s)
    except NotTried as why:
        return Finding(rule, "not run", reason=str(why), seconds=monotonic() - began_s)
    return Finding(rule, "passed", seconds=monotonic() - began_s)


async def _obstacle(bench: Bench, rule: Rule) -> str:
    """Give why nothing more can be tried after a rule was broken; "" where it can, with a fresh worker if need be."""
    if rule.is_gate:
        return f"{rule.id} failed, which all others build on"
    if await bench.is_served(bench.pace.patience_s) or await bench.start_afresh():
        return ""
    return f"the worker does not answer since {rule.id}"
