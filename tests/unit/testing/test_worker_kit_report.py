"""What a trial found, as people and programs are told of it."""

from xml.etree import ElementTree as ET

from stepbus.orchestrator.testing.worker_kit import RULES, Finding, Report

PASSED = Finding(RULES[0], "passed", seconds=0.25)
FAILED = Finding(RULES[1], "failed", 'token "\x00\ud800"', "<nothing> & ]]>\x1b[2J\uffff")
NOT_RUN = Finding(RULES[2], "not run", reason="needs --command")


def test_a_worker_conforms_when_every_rule_that_was_run_passed() -> None:
    assert Report("a", "a", [PASSED, NOT_RUN]).conforms
    assert not Report("a", "a", [PASSED, FAILED]).conforms


def test_a_worker_of_which_nothing_was_tried_does_not_conform() -> None:
    assert not Report("a", "a", [NOT_RUN]).conforms


def test_the_document_counts_and_tells_of_each_rule() -> None:
    document = Report("a.b", "q", [PASSED, FAILED, NOT_RUN]).document()

    assert {name: document[name] for name in ("conforms", "handler", "queue", "passed", "failed", "not_run")} == {
        "conforms": False,
        "handler": "a.b",
        "queue": "q",
        "passed": 1,
        "failed": 1,
        "not_run": 1,
    }
    assert document["rules"][0] == {
        "id": RULES[0].id,
        "title": RULES[0].title,
        "outcome": "passed",
        "expected": None,
        "found": None,
        "reason": None,
        "seconds": 0.25,
    }
    assert [rule["outcome"] for rule in document["rules"]] == ["passed", "failed", "not_run"]


def test_junit_xml_is_well_formed_whatever_a_worker_says() -> None:
    suite = ET.fromstring(Report("a.b", "q", [PASSED, FAILED, NOT_RUN]).junit())[0]  # noqa: S314 - our own

    failure, skipped = suite[1][0], suite[2][0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped"), suite.get("time")) == (
        "3",
        "1",
        "1",
        "0.250",
    )
    assert [case.get("classname") for case in suite] == ["a.b.answer"] * 3
    assert failure.get("message") == 'expected token "\ufffd?", found <nothing> & ]]>\ufffd[2J\ufffd'
    assert skipped.get("message") == "needs --command"
