"""`stepbus bus doctor`."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from stepbus.contracts import channels
from stepbus.contracts.problems import refuse
from stepbus.orchestrator.bootstrap import opened_bus
from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.cli.verb import AsJson, Verb, answer, table
from stepbus.orchestrator.testing.bus_suite.cases import Family
from stepbus.orchestrator.testing.bus_suite.doctor import LONGEST_BASE, FamilyReport, Report, examine
from stepbus.orchestrator.testing.bus_suite.families import FAMILIES

app = typer.Typer(add_completion=False)


@app.command("doctor", cls=Verb)
def _doctor(
    url: Annotated[str, typer.Argument(metavar="URL", help="The broker, as the setting `bus` names it.")],
    *,
    prefix: Annotated[
        str, typer.Option(metavar="PREFIX", help="What all names made on the broker begin with.")
    ] = "doctor",
    only: Annotated[
        list[str] | None, typer.Option(metavar="FAMILY", help="Only this family of promises. Can be repeated.")
    ] = None,
    redelivery: Annotated[
        float, typer.Option(min=0.5, metavar="SECONDS", help="How long a message may be out un-acked in the trial.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Try the promises that stepbus builds on against a broker of yours.

    Works under prefixes of its own, and takes away what it made. Says of each family of promises whether it holds
    there, with the reason where it does not. The exit code is 0 if all that was tried hold, 1 otherwise.
    """
    families = _chosen(only or ())
    base = channels.to_prefix(prefix)
    if len(base) > LONGEST_BASE:
        message = f"expected at most {LONGEST_BASE} characters, since more are added, found {prefix!r}"
        raise refuse("doctor.prefix", message, "/prefix")
    logging.basicConfig(level=logging.ERROR)
    report = asyncio.run(_examined(url, base, redelivery, families, is_told=not as_json))
    answer(report.document(), lambda: _shown(report), as_json=as_json)
    if not report.holds:
        raise typer.Exit(1)


async def _examined(url: str, base: str, redelivery_s: float, families: Sequence[Family], *, is_told: bool) -> Report:
    async with opened_bus(Settings(bus=url, prefix=base), url):
        pass  # what is wrong with the URL, or that nobody answers there, is said before anything is tried
    return await examine(url, base, redelivery_s, families, _tell if is_told else lambda _report: None)


def _tell(report: FamilyReport) -> None:
    """Say how far it is: all of it takes a minute."""
    typer.echo(f"{report.family.name}: {len(report.of('broken'))} broken of {len(report.findings)}", err=True)


def _chosen(names: Sequence[str]) -> Sequence[Family]:
    known = {family.name: family for family in FAMILIES}
    for name in names:
        if name not in known:
            raise refuse("doctor.family", f"expected one of {', '.join(known)}, found {name[:100]!r}", "/only")
    return [family for family in FAMILIES if not names or family.name in names]


def _shown(report: Report) -> str:
    rows = [
        (
            family.family.name,
            "broken" if family.of("broken") else "holds" if family.of("holds") else "not tried",
            f"{len(family.of('holds'))} of {len(family.of('holds')) + len(family.of('broken'))}",
            family.family.promise,
        )
        for family in report.families
    ]
    parts = [table(("family", "outcome", "cases", "promise"), rows)]
    parts += [f"{finding.case.id}\n  {finding.case.title}\n  {finding.reason}" for finding in report.of("broken")]
    reasons: dict[str, list[str]] = {}
    for finding in report.of("not tried"):
        reasons.setdefault(finding.reason, []).append(finding.case.id)
    parts += [f"not tried, {reason}: {', '.join(names)}" for reason, names in reasons.items()]
    repeat = "dropped by the broker" if report.knows_duplicates else "delivered twice, and told apart by the log"
    parts.append(f"a message that is sent twice under one id is {repeat}")
    parts += [
        f"{count} prefixes stay on the broker: {reason}" for reason, count in Counter(report.left.values()).items()
    ]
    verdict = "all promises hold" if report.holds else f"{len(report.of('broken'))} promises are broken"
    tried = len(report.of("holds")) + len(report.of("broken"))
    parts.append(f"{tried} tried, {len(report.of('not tried'))} not tried: {verdict}")
    return "\n\n".join(parts)
