"""The doctor for brokers: each case is tried, whatever the one before came to, and told with its reason."""

import asyncio
import subprocess
import sys

import pytest

from stepbus.orchestrator.ports import BusUnavailable
from stepbus.orchestrator.testing.bus_suite import doctor
from stepbus.orchestrator.testing.bus_suite.bench import JOBS, message, publish, receive
from stepbus.orchestrator.testing.bus_suite.by_url import open_by_url, with_option
from stepbus.orchestrator.testing.bus_suite.cases import Family, Trial
from stepbus.orchestrator.testing.bus_suite.demands import demand_same
from stepbus.orchestrator.testing.bus_suite.doctor import FamilyReport, Report, examine

cases = Family("example", "what an example promises")


@cases.case()
async def a_message_is_received(trial: Trial) -> None:
    await publish(trial.bus, message(1))
    demand_same(len(await receive(await trial.bus.subscribe(JOBS))), 1)


@cases.case()
async def two_are_one(trial: Trial) -> None:
    demand_same(2, 1 if trial.knows_duplicates else 0)


@cases.case()
async def a_case_has_a_mistake(_trial: Trial) -> None:
    raise ValueError("a mistake")


@cases.case()
async def it_never_ends(_trial: Trial) -> None:
    await asyncio.Event().wait()


@cases.case(plain=True)
async def a_plain_client_is_heard(_trial: Trial) -> None: ...


@cases.case(processes=True)
async def a_process_dies(_trial: Trial) -> None: ...


@pytest.fixture
async def report(monkeypatch: pytest.MonkeyPatch, unique_name: str) -> Report:
    """What the doctor says of the bus of this process, by the cases of this file."""
    monkeypatch.setattr(doctor, "_CASE_S", 0.3)
    monkeypatch.setattr(doctor, "with_option", lambda url, *_: url)
    return await examine(f"memory:{unique_name}", "example", 1.0, [cases])


def test_every_case_is_told_with_its_outcome_and_reason(report: Report) -> None:
    [family] = report.families

    assert [(finding.outcome, finding.reason) for finding in family.findings] == [
        ("holds", ""),
        ("broken", "expected 1, found 2"),
        ("broken", "expected it to go well, found ValueError('a mistake')"),
        ("broken", "expected it to be through in 0.3 s, found that it is not"),
        ("not tried", "needs a client that has nothing of stepbus"),
        ("not tried", "needs a broker that other processes reach"),
    ]
    assert not report.holds


def test_the_document_has_every_case_and_the_sums(report: Report) -> None:
    document = report.document()

    assert {name: document[name] for name in ("holds", "knows_duplicates", "tried", "broken", "not_tried")} == {
        "holds": False,
        "knows_duplicates": True,
        "tried": 4,
        "broken": 3,
        "not_tried": 2,
    }
    [family] = document["families"]
    assert (family["family"], family["promise"], family["holds"]) == ("example", "what an example promises", False)
    assert family["cases"][0] == {
        "id": "example.a_message_is_received",
        "title": "a message is received",
        "outcome": "holds",
        "reason": None,
        "seconds": family["cases"][0]["seconds"],
    }


def test_what_an_adapter_cannot_take_away_is_told(report: Report) -> None:
    assert set(report.left.values()) == {"this adapter can't take away what it made"}
    assert all(prefix.startswith("example-") for prefix in report.left)


async def test_each_family_is_told_when_it_is_through(monkeypatch: pytest.MonkeyPatch, unique_name: str) -> None:
    monkeypatch.setattr(doctor, "with_option", lambda url, *_: url)
    told: list[FamilyReport] = []
    good = Family("good", "it holds")
    good.append(cases[0])

    report = await examine(f"memory:{unique_name}", "example", 1.0, [good, Family("none", "nothing")], told.append)

    assert [(one.family.name, len(one.findings)) for one in told] == [("good", 1), ("none", 0)]
    assert report.holds


async def test_nothing_tried_is_nothing_that_holds(monkeypatch: pytest.MonkeyPatch, unique_name: str) -> None:
    monkeypatch.setattr(doctor, "with_option", lambda url, *_: url)

    assert not (await examine(f"memory:{unique_name}", "example", 1.0, [])).holds


async def test_a_broker_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BusUnavailable):
        await examine("nats://127.0.0.1:1?connect_timeout=0.1", "example", 1.0, [cases])


async def test_a_url_of_no_bus_is_an_error(unique_name: str) -> None:
    with pytest.raises(LookupError, match="expected the URL of a bus, found 'sqlite'"):
        await open_by_url("sqlite:///x", doctor._settings(unique_name))  # noqa: SLF001


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("nats://h", "nats://h?ack_wait=1"),
        ("nats://h?replicas=3", "nats://h?replicas=3&ack_wait=1"),
        ("nats://h?ack_wait=5", "nats://h?ack_wait=5"),
    ],
)
def test_an_option_is_added_unless_it_is_there(url: str, expected: str) -> None:
    assert with_option(url, "ack_wait", 1) == expected


def test_the_doctor_needs_no_pytest() -> None:
    code = "import sys; sys.modules['pytest'] = None; import stepbus.orchestrator.cli.bus.doctor"

    subprocess.run([sys.executable, "-c", code], check=True)
