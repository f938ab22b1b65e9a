"""The cases tried on somebody's own broker: which promises hold there, and why others do not."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Literal
from uuid import uuid4

from stepbus.orchestrator.ports import Bus, BusSettings, BusUnavailable, Removable
from stepbus.orchestrator.testing.bus_suite.bench import JOBS, QUEUE, Bench, message, publish
from stepbus.orchestrator.testing.bus_suite.by_url import open_by_url, with_option
from stepbus.orchestrator.testing.bus_suite.cases import Case, Family
from stepbus.orchestrator.testing.bus_suite.demands import Broken
from stepbus.orchestrator.testing.bus_suite.families import FAMILIES

Outcome = Literal["holds", "broken", "not tried"]

LONGEST_BASE = 16
"""How long the beginning of the prefix may be: cases add to it."""

_CASE_S = 90.0
_NO_PLAIN_CLIENT = "needs a client that has nothing of stepbus"
_IN_PROCESS = "needs a broker that other processes reach"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one case; `reason` says why it is broken or was not tried."""

    case: Case
    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """Give the finding as JSON has it."""
        return {
            "id": self.case.id,
            "title": self.case.title,
            "outcome": self.outcome.replace(" ", "_"),
            "reason": self.reason or None,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class FamilyReport:
    """The findings of one family."""

    family: Family
    findings: Sequence[Finding]

    def of(self, outcome: Outcome) -> Sequence[Finding]:
        """Give the findings with this outcome."""
        return [finding for finding in self.findings if finding.outcome == outcome]

    def document(self) -> dict[str, Any]:
        """Give the family as JSON has it."""
        return {
            "family": self.family.name,
            "promise": self.family.promise,
            "holds": not self.of("broken"),
            "cases": [finding.document() for finding in self.findings],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found. `knows_duplicates` says that the broker tells a repeat by its id; else the log does.

    Shape: `left` has by its prefix what could not be taken away again, and why.
    """

    families: Sequence[FamilyReport]
    knows_duplicates: bool
    left: Mapping[str, str]

    def of(self, outcome: Outcome) -> Sequence[Finding]:
        """Give the findings of all families with this outcome."""
        return [finding for family in self.families for finding in family.of(outcome)]

    @property
    def holds(self) -> bool:
        """Say whether every promise that was tried holds, and one at least was tried."""
        return bool(self.of("holds")) and not self.of("broken")

    def document(self) -> dict[str, Any]:
        """Give the report as JSON has it."""
        return {
            "holds": self.holds,
            "knows_duplicates": self.knows_duplicates,
            "tried": len(self.of("holds")) + len(self.of("broken")),
            "broken": len(self.of("broken")),
            "not_tried": len(self.of("not tried")),
            "left": dict(self.left),
            "families": [family.document() for family in self.families],
        }


class Patient(Bench):
    """A broker known by its URL alone. What was opened under which prefix is remembered, to be taken away again."""

    def __init__(self, url: str, redelivery_s: float) -> None:
        self.url = with_option(url, "ack_wait", f"{redelivery_s:g}")
        self.redelivery_s = redelivery_s
        self.opened: set[BusSettings] = set()

    async def open_bus(self, settings: BusSettings) -> Bus:
        """Open one more bus."""
        bus = await open_by_url(self.url, settings)
        self.opened.add(settings)
        return bus

    async def tidy(self) -> Mapping[str, str]:
        """Delete what was made under all prefixes; give those where it stays, with the reason."""
        left: dict[str, str] = {}
        while self.opened:
            settings = self.opened.pop()
            try:
                bus = await open_by_url(self.url, settings)
            except BusUnavailable as error:
                left[settings.prefix] = str(error)
                continue
            try:
                if isinstance(bus, Removable):
                    await bus.remove()
                else:
                    left[settings.prefix] = "this adapter can't take away what it made"
            except BusUnavailable as error:
                left[settings.prefix] = str(error)
            finally:
                await bus.close()
        return left


async def examine(
    url: str,
    base: str,
    redelivery_s: float,
    families: Sequence[Family] = FAMILIES,
    tell: Callable[[FamilyReport], None] = lambda _report: None,
) -> Report:
    """Try all cases of these families under prefixes of their own that begin with `base`, and take away what they made.

    `tell` is given each family when it is through.

    Raises:
        BusUnavailable: the broker can't be reached or provisioned at all.
        Refused: the URL or the prefix is not one, or what is there is of another make.
    """
    patient = Patient(url, redelivery_s)
    is_in_process = url.startswith("memory:")
    left: dict[str, str] = {}
    reports: list[FamilyReport] = []
    try:
        knows_duplicates = await _knows_duplicates(patient, _settings(base))
        patient.knows_duplicates = knows_duplicates
        for family in families:
            findings: list[Finding] = []
            for case in family:
                findings.append(await _finding(case, patient, _settings(base), is_in_process=is_in_process))
                left |= await patient.tidy()
            reports.append(FamilyReport(family, findings))
            tell(reports[-1])
    finally:
        left |= await patient.tidy()
    return Report(reports, knows_duplicates, left)


def _settings(base: str) -> BusSettings:
    return BusSettings(prefix=f"{base}-{uuid4().hex[:8]}")


async def _knows_duplicates(patient: Patient, settings: BusSettings) -> bool:
    bus = await patient.open_bus(settings)
    try:
        await bus.provision([QUEUE])
        await publish(bus, message(1), message(1), message(2))
        subscription = await bus.subscribe(JOBS)
        received: list[bytes] = []
        while b"body 2" not in received and len(received) < 3:
            received += [delivery.body for delivery in await subscription.receive(3 - len(received), 5.0)]
        return received.count(b"body 1") == 1
    finally:
        await bus.close()


async def _finding(case: Case, patient: Patient, settings: BusSettings, *, is_in_process: bool) -> Finding:
    if case.is_plain:
        return Finding(case, "not tried", _NO_PLAIN_CLIENT)
    if case.is_for_processes and is_in_process:
        return Finding(case, "not tried", _IN_PROCESS)
    begun = monotonic()
    finding = Finding(case, "holds")
    try:
        async with asyncio.timeout(_CASE_S):
            await case.run(patient, settings)
    except Broken as broken:
        finding = Finding(case, "broken", str(broken))
    except TimeoutError:
        finding = Finding(case, "broken", f"expected it to be through in {_CASE_S:g} s, found that it is not")
    except Exception as error:  # noqa: BLE001 - whatever a case ends with, the next is tried
        finding = Finding(case, "broken", f"expected it to go well, found {error!r}")
    return replace(finding, seconds=monotonic() - begun)
