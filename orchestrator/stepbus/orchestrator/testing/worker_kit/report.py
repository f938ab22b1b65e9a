"""What the trial of a worker found: for people, for programs, and as the JUnit XML that CI systems read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree as ET

from stepbus.orchestrator.testing.worker_kit.rules import Rule

Outcome = Literal["passed", "failed", "not run"]

_NAME = "stepbus worker conform"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one rule. `expected` and `found` are there where it failed, `reason` where it was not run."""

    rule: Rule
    outcome: Outcome
    expected: str = ""
    found: str = ""
    reason: str = ""
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """Give the finding as JSON has it."""
        return {
            "id": self.rule.id,
            "title": self.rule.title,
            "outcome": self.outcome.replace(" ", "_"),
            "expected": self.expected or None,
            "found": self.found or None,
            "reason": self.reason or None,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of all chosen rules, in their order."""

    handler: str
    queue: str
    findings: Sequence[Finding]

    def of(self, outcome: Outcome) -> Sequence[Finding]:
        """Give the findings with this outcome."""
        return [finding for finding in self.findings if finding.outcome == outcome]

    @property
    def failed(self) -> Sequence[str]:
        """Give the ids of the rules that the worker does not keep to."""
        return [finding.rule.id for finding in self.of("failed")]

    @property
    def conforms(self) -> bool:
        """Say whether every rule that was run passed, and one at least was run."""
        return bool(self.of("passed")) and not self.of("failed")

    def document(self) -> dict[str, Any]:
        """Give the report as JSON has it."""
        return {
            "conforms": self.conforms,
            "handler": self.handler,
            "queue": self.queue,
            "passed": len(self.of("passed")),
            "failed": len(self.of("failed")),
            "not_run": len(self.of("not run")),
            "rules": [finding.document() for finding in self.findings],
        }

    def junit(self) -> bytes:
        """Give the report as JUnit XML: a test case for each rule, its group as class; what is not run is skipped."""
        suite = ET.Element(
            "testsuite",
            name=_NAME,
            tests=str(len(self.findings)),
            failures=str(len(self.of("failed"))),
            errors="0",
            skipped=str(len(self.of("not run"))),
            time=f"{sum(finding.seconds for finding in self.findings):.3f}",
        )
        for finding in self.findings:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=f"{self.handler}.{finding.rule.group}",
                name=finding.rule.id,
                time=f"{finding.seconds:.3f}",
            )
            if finding.outcome == "failed":
                said = _in_xml(f"expected {finding.expected}, found {finding.found}")
                ET.SubElement(case, "failure", type=finding.rule.id, message=said).text = _in_xml(finding.rule.title)
            elif finding.outcome == "not run":
                ET.SubElement(case, "skipped", message=_in_xml(finding.reason))
        suites = ET.Element("testsuites")
        suites.append(suite)
        ET.indent(suites)
        document: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
        return document


def _in_xml(text: str) -> str:
    """Give text without the characters that no XML can hold. Source: XML 1.0, section 2.2."""
    return "".join(
        letter
        if letter in "\t\n\r" or (letter >= " " and letter not in "\ufffe\uffff")
        else "\N{REPLACEMENT CHARACTER}"
        for letter in text.encode("utf-8", "replace").decode()
    )
