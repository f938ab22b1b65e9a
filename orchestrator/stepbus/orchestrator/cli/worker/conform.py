"""`stepbus worker conform`."""

import asyncio
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from stepbus.contracts import channels
from stepbus.orchestrator.bootstrap import opened_bus
from stepbus.orchestrator.bootstrap.settings import Settings, environment_without_settings, read_settings
from stepbus.orchestrator.cli.configured import Set, assigned
from stepbus.orchestrator.cli.documents import STDIN, read_bytes
from stepbus.orchestrator.cli.failure import Failure
from stepbus.orchestrator.cli.verb import AsJson, Verb, answer, table
from stepbus.orchestrator.testing.worker_kit import (
    Command,
    Contract,
    Pace,
    Report,
    Rule,
    chosen,
    conform,
    probe_contract,
    read_contract,
)

app = typer.Typer(add_completion=False)

_PREFIX = "conform"
_LISTED = 8


@app.command("conform", cls=Verb)
def _conform(  # noqa: PLR0913 - each is an option
    *,
    bus: Annotated[str, typer.Option(metavar="URL", help="The bus that the worker is connected to.")],
    handler: Annotated[
        str | None, typer.Option(metavar="NAME", help="The handler to try; that of the contract unless given.")
    ] = None,
    contract: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What the handler promises, as YAML or JSON; else that of conform.probe."),
    ] = None,
    prefix: Annotated[
        str, typer.Option(metavar="PREFIX", help="Of all channels; one that no coordinator reads.")
    ] = _PREFIX,
    command: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="Starts the worker, so that it can be killed and stopped too.")
    ] = None,
    worker_log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to keep what a worker started by --command says.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help="Only this rule, or group of rules. Can be repeated.")
    ] = None,
    patience: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long an answer may take.")] = 10.0,
    start: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long the first may take.")] = 30.0,
    redelivery: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long the broker waits for an ack.")
    ] = 30.0,
    grace: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long a stop may take.")] = 40.0,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as JUnit XML too.")] = None,
    assignments: Set = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a worker keeps to the contract, rule by rule.

    Plays the coordinator to it over the bus. Ends with 0 if every rule that was run passed, with 1 otherwise.
    """
    rules = chosen(only or ())
    settings = read_settings(None, {}, {**assigned(assignments), "bus": bus, "prefix": channels.to_prefix(prefix)})
    promised = _contract(contract, handler)
    child = None if command is None else Command(_words(command), _environment(bus, prefix), worker_log)
    pace = Pace(patience, start, redelivery, grace)
    if junit is not None:
        junit.touch()  # what can't be written is said before the trial, not after
    try:
        report = asyncio.run(_reported(settings.settings, promised, pace, child, rules))
    except asyncio.CancelledError as stopped:
        raise Failure(
            "conform.stopped", "the trial was stopped before its end; the worker it started was too"
        ) from stopped
    if junit is not None:
        junit.write_bytes(report.junit())
    answer(report.document(), lambda: _shown(report), as_json=as_json)
    if not report.conforms:
        raise typer.Exit(1)


async def _reported(
    settings: Settings, contract: Contract, pace: Pace, child: Command | None, rules: Sequence[Rule]
) -> Report:
    async with opened_bus(settings, settings.bus) as bus:
        trial = asyncio.ensure_future(conform(bus, contract, pace, child, rules))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, trial.cancel)  # it leaves no worker behind
        return await trial


def _contract(file: Path | None, handler: str | None) -> Contract:
    if file is None:
        contract = probe_contract()
    else:
        text = read_bytes(file, "--contract")
        is_json = file.suffix.lower() == ".json" or (file == STDIN and text.lstrip()[:1] == b"{")
        contract = read_contract(text, "json" if is_json else "yaml")
    return contract if handler is None else contract.with_handler(handler)


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise typer.BadParameter(f"expected a command, but {error}", param_hint="--command") from error
    if not words:
        raise typer.BadParameter("expected a command, found none", param_hint="--command")
    return words


def _environment(bus: str, prefix: str) -> dict[str, str]:
    """Give the worker's environment. The options behind the URL are ours: a plain client knows none of them."""
    return {**environment_without_settings(), "STEPBUS_BUS": bus.partition("?")[0], "STEPBUS_PREFIX": prefix}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= _LISTED else f"{len(names)} rules"


def _shown(report: Report) -> str:
    rows = [(finding.outcome, finding.rule.id, finding.rule.title) for finding in report.findings]
    parts = [table(("outcome", "rule", "what the worker must do"), rows)]
    parts += [
        f"{finding.rule.id}\n  expected  {finding.expected}\n  found     {finding.found}"
        for finding in report.of("failed")
    ]
    reasons: dict[str, list[str]] = {}
    for finding in report.of("not run"):
        reasons.setdefault(finding.reason, []).append(finding.rule.id)
    parts += [f"not run: {_listed(names)}\n  {reason}" for reason, names in reasons.items()]
    counts = ", ".join(f"{len(report.of(outcome))} {outcome}" for outcome in ("passed", "failed", "not run"))
    parts.append(f"{report.handler}: {counts}")
    return "\n\n".join(parts)
