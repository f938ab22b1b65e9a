"""Records: into the log and out of it, through the versions."""

import json
import subprocess
import sys
from typing import Any

import pytest

from stepbus.contracts import events as e
from stepbus.contracts.events import Metadata, Record, Upcasters, decode_record, encode_record
from stepbus.contracts.messages import StepError
from stepbus.contracts.problems import Refused

META = Metadata(at_ms=1_000, actor="worker/w")
RECORD = Record(
    first=3,
    meta=META,
    events=(
        e.StepCompleted(step="a", attempt=1, result={"left": None}),
        e.StepDispatched(step="b", attempt=1, deadline_at_ms=2_000),
    ),
)


def stored(**changes: Any) -> bytes:
    return json.dumps(json.loads(encode_record(RECORD)) | changes).encode()


def entry(version: object, data: object, name: object = "StepDispatched") -> list[dict[str, object]]:
    return [{"type": name, "version": version, "data": data}]


def problems(data: bytes, upcasters: Upcasters | None = None) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as refused:
        decode_record(data, upcasters or {})
    return [(problem.code, problem.pointer) for problem in refused.value.problems]


def test_what_is_stored_is_read_back() -> None:
    assert decode_record(encode_record(RECORD)) == RECORD


def test_equal_records_are_stored_as_equal_bytes() -> None:
    again = RECORD._replace(events=(e.StepCompleted(attempt=1, result={"left": None}, step="a"), RECORD.events[1]))

    assert encode_record(again) == encode_record(RECORD)


def test_an_event_is_stored_under_its_type_and_version() -> None:
    assert json.loads(encode_record(RECORD))["events"][1] == {
        "type": "StepDispatched",
        "version": 1,
        "data": {"step": "b", "attempt": 1, "deadline_at_ms": 2_000},
    }


def test_parts_of_events_are_stored_with_them() -> None:
    failed = e.StepFailed(step="a", attempt=1, error=StepError(code="x", details={"a": None}))
    record = Record(first=1, meta=META, events=(failed,))

    assert decode_record(encode_record(record)) == record


def test_each_event_has_a_type_of_its_own() -> None:
    assert len({event.TYPE for event in e.EVENTS}) == len(e.EVENTS)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"{", ("event.malformed", "")),
        (b"[]", ("event.malformed", "")),
        (b"null", ("event.malformed", "")),
        (b'{"first":1,"meta":{}}', ("event.malformed", "")),
        (stored(meta={}), ("event.malformed", "/meta/at_ms")),
        (stored(meta={"at_ms": 1, "mood": "good"}), ("event.malformed", "/meta/mood")),
        (stored(meta=5), ("event.malformed", "/meta")),
        (stored(first=0), ("event.malformed", "/first")),
        (stored(first="1"), ("event.malformed", "/first")),
        (stored(events={}), ("event.malformed", "/events")),
        (stored(events=[5]), ("event.malformed", "/events/0")),
        (stored(events=[[]]), ("event.malformed", "/events/0")),
        (stored(events=[{"type": "TaskCompleted"}]), ("event.malformed", "/events/0")),
        (stored(events=entry(1, {}, ["TaskCompleted"])), ("event.malformed", "/events/0")),
        (stored(events=entry(1, {"step": "a", "attempt": 1})), ("event.malformed", "/events/0/data/deadline_at_ms")),
        (stored(events=entry(1, {"mood": "good"}, "TaskCompleted")), ("event.malformed", "/events/0/data/mood")),
        (stored(events=entry(1, 5, "TaskCompleted")), ("event.malformed", "/events/0/data")),
        (stored(events=entry("1", {})), ("event.malformed", "/events/0/version")),
        (stored(events=entry(0, {})), ("event.malformed", "/events/0/version")),
        (stored(events=entry(2, {})), ("event.unknown_version", "/events/0/version")),
        (stored(events=entry(1, {}, "StepDreamt")), ("event.unknown_type", "/events/0/type")),
    ],
)
def test_what_no_release_has_written_is_refused_with_its_place(data: bytes, problem: tuple[str, str]) -> None:
    assert problems(data) == [problem]


def name_the_deadline(data: dict[str, Any]) -> dict[str, Any]:
    """From version 1, where it was called `deadline`."""
    return {key: value for key, value in data.items() if key != "deadline"} | {"due": data["deadline"]}


def count_in_milliseconds(data: dict[str, Any]) -> dict[str, Any]:
    """From version 2, where it was in seconds."""
    return {key: value for key, value in data.items() if key != "due"} | {"deadline_at_ms": data["due"] * 1000}


CLIMB: Upcasters = {("StepDispatched", 1): name_the_deadline, ("StepDispatched", 2): count_in_milliseconds}
TODAY = (e.StepDispatched(step="b", attempt=1, deadline_at_ms=2_000),)


@pytest.fixture
def version_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(e.StepDispatched, "VERSION", 3)


@pytest.mark.usefixtures("version_three")
@pytest.mark.parametrize(
    ("version", "data"),
    [
        (1, {"step": "b", "attempt": 1, "deadline": 2}),
        (2, {"step": "b", "attempt": 1, "due": 2}),
        (3, {"step": "b", "attempt": 1, "deadline_at_ms": 2_000}),
    ],
)
def test_a_reader_climbs_from_the_stored_version_to_todays(version: int, data: dict[str, Any]) -> None:
    assert decode_record(stored(events=entry(version, data)), CLIMB).events == TODAY


@pytest.mark.usefixtures("version_three")
def test_a_shape_of_an_older_version_is_never_taken_for_todays_because_it_fits() -> None:
    looks_like_today = {"step": "b", "attempt": 1, "deadline_at_ms": 7, "deadline": 2}

    assert decode_record(stored(events=entry(1, looks_like_today)), CLIMB).events == TODAY
    assert problems(stored(events=entry(1, TODAY[0].model_dump()))) == [("event.unknown_version", "/events/0/version")]


@pytest.mark.usefixtures("version_three")
def test_a_version_that_nothing_leads_up_from_is_refused() -> None:
    only_the_first = {("StepDispatched", 1): name_the_deadline}
    data = {"step": "b", "attempt": 1, "deadline": 2}

    assert problems(stored(events=entry(1, data)), only_the_first) == [("event.unknown_version", "/events/0/version")]


@pytest.mark.usefixtures("version_three")
def test_old_data_that_an_upcaster_stumbles_over_is_refused() -> None:
    assert problems(stored(events=entry(1, {"step": "b"})), CLIMB) == [("event.malformed", "/events/0/data")]
    assert problems(stored(events=entry(1, None)), CLIMB) == [("event.malformed", "/events/0/data")]


def test_the_first_thing_that_a_process_does_can_be_to_read_a_record() -> None:
    program = (
        "import sys; from stepbus.contracts.events import decode_record; "
        "print(decode_record(sys.stdin.buffer.read()).events[0].TYPE)"
    )
    read = subprocess.run([sys.executable, "-c", program], input=encode_record(RECORD), capture_output=True, check=True)
    assert read.stdout == b"StepCompleted\n"
