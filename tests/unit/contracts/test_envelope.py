"""CloudEvents, in JSON or in headers."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from stepbus.contracts import envelope
from stepbus.contracts.envelope import CloudEvent
from stepbus.contracts.problems import Refused

LEAST = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
HEADERS = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}


def event(**attributes: Any) -> bytes:
    return json.dumps(LEAST | attributes).encode()


def problems(body: bytes, headers: dict[str, str] | None = None) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as refused:
        envelope.read(body, headers)
    return [(problem.code, problem.pointer) for problem in refused.value.problems]


def test_an_event_needs_id_source_and_type() -> None:
    assert envelope.read(event()) == CloudEvent(id="1", source="/s", type="t")
    assert problems(b'{"specversion":"1.0"}') == [
        ("envelope.missing", "/id"),
        ("envelope.missing", "/source"),
        ("envelope.missing", "/type"),
    ]


def test_what_is_written_is_read_back() -> None:
    whole = CloudEvent(
        id="1",
        source="/s",
        type="t",
        time=datetime(2026, 1, 2, 3, 4, 5, 678000, UTC),
        subject="u",
        dataschema="https://example.com/1",
        partitionkey="p",
        correlationid="c",
        causationid="d",
        tenant="acme",
        traceparent="00-1-2-01",
        data={"a": [None]},
    )

    assert envelope.read(envelope.write(whole)) == whole


def test_absent_attributes_are_not_written() -> None:
    assert json.loads(envelope.write(CloudEvent(id="1", source="/s", type="t"))) == LEAST | {
        "datacontenttype": "application/json",
        "tenant": "default",
    }


def test_an_attribute_that_is_null_is_absent() -> None:
    assert envelope.read(event(subject=None, tenant=None, data=None)) == envelope.read(event())


@pytest.mark.parametrize("body", [b"[]", b"null", b'"event"'])
def test_a_message_that_is_no_object_is_no_event(body: bytes) -> None:
    assert problems(body) == [("envelope.not_an_object", "")]


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"specversion": "0.3"}, "/specversion"),
        ({"id": ""}, "/id"),
        ({"id": 1}, "/id"),
        ({"source": "s" * 1025}, "/source"),
        ({"source": "a\tb"}, "/source"),
        ({"subject": "\x9f"}, "/subject"),
        ({"type": ["t"]}, "/type"),
        ({"tenant": ""}, "/tenant"),
        ({"datacontenttype": "text/plain"}, "/datacontenttype"),
        ({"datacontenttype": 5}, "/datacontenttype"),
    ],
)
def test_an_attribute_out_of_its_bounds_is_refused(attributes: dict[str, Any], pointer: str) -> None:
    assert problems(event(**attributes)) == [("envelope.invalid", pointer)]


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02t03:04:05.5z", datetime(2026, 1, 2, 3, 4, 5, 500_000, UTC)),
        ("2026-01-02T03:04:05.123456789+02:00", datetime(2026, 1, 2, 3, 4, 5, 123_456, timezone(timedelta(hours=2)))),
    ],
)
def test_a_time_is_read_as_rfc_3339_writes_it(written: str, instant: datetime) -> None:
    assert envelope.read(event(time=written)).time == instant


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-02T03:04:05",
        "2026-01-02",
        "2026-01-02 03:04:05Z",
        "2026-13-02T03:04:05Z",
        "2026-01-02T03:04:61Z",
        "20260102T030405Z",
        "now",
        1767323045,
        True,
    ],
)
def test_a_time_without_its_zone_or_in_another_form_is_refused(time: object) -> None:
    assert problems(event(time=time)) == [("envelope.time", "/time")]


def test_a_time_of_python_needs_its_zone_too() -> None:
    with pytest.raises(ValueError, match="with its zone"):
        CloudEvent(id="1", source="/s", type="t", time=datetime(2026, 1, 2))  # noqa: DTZ001 - what is tested


def test_extensions_of_others_are_tolerated() -> None:
    assert envelope.read(event(mine="x", count=3, flag=True)) == envelope.read(event())


@pytest.mark.parametrize("name", ["Mine", "my_own", "my-own", "", "x" * 65])
def test_an_extension_is_named_with_small_letters_and_digits(name: str) -> None:
    assert problems(event(**{name: "x"})) == [("envelope.attribute_name", f"/{name}")]


@pytest.mark.parametrize("value", [1.5, {}, []])
def test_an_extension_is_a_text_a_whole_number_or_a_truth(value: object) -> None:
    assert problems(event(mine=value)) == [("envelope.attribute", "/mine")]


def test_binary_data_is_refused_by_name() -> None:
    assert problems(event(data_base64="AAAA")) == [("envelope.data_base64", "/data_base64")]


def test_all_that_is_wrong_with_an_event_is_told_at_once() -> None:
    assert problems(event(id=1, Mine="x", data_base64="")) == [
        ("envelope.invalid", "/id"),
        ("envelope.attribute_name", "/Mine"),
        ("envelope.data_base64", "/data_base64"),
    ]


def test_very_many_wrong_attributes_are_told_up_to_a_bound() -> None:
    assert len(problems(event(**{f"X{number}": 1 for number in range(500)}))) == 100


def test_json_may_be_named_with_its_charset() -> None:
    assert envelope.read(event(datacontenttype="Application/JSON; charset=UTF-8")).datacontenttype == "application/json"


def test_in_binary_mode_the_attributes_stand_in_headers() -> None:
    headers = HEADERS | {"CE-Tenant": "acme", "Content-Type": "application/json", "Nats-Msg-Id": "x"}

    assert envelope.read(b'{"a":1}', headers) == CloudEvent(id="1", source="/s", type="t", tenant="acme", data={"a": 1})


def test_in_binary_mode_a_body_may_be_empty() -> None:
    assert envelope.read(b"", HEADERS).data is None


def test_in_binary_mode_other_characters_are_percent_encoded() -> None:
    assert envelope.read(b"", HEADERS | {"ce-source": "/a%20%C3%A9%25"}).source == "/a é%"
    assert problems(b"", HEADERS | {"ce-source": "/%FF"}) == [("envelope.invalid", "/source")]


@pytest.mark.parametrize("header", ["content-type", "ce-datacontenttype"])
def test_in_binary_mode_data_is_json(header: str) -> None:
    assert problems(b"", HEADERS | {header: "text/plain"}) == [("envelope.invalid", "/datacontenttype")]


@pytest.mark.parametrize("value", ["a\0", "\ud800", ""])
def test_in_binary_mode_attributes_are_held_to_the_same_bounds(value: str) -> None:
    assert problems(b"", HEADERS | {"ce-source": value}) == [("envelope.invalid", "/source")]


def test_in_binary_mode_the_data_is_read_as_strictly() -> None:
    assert problems(b'{"a":1,"a":2}', HEADERS) == [("json.duplicate_key", "/a")]


def test_headers_that_are_not_of_cloudevents_change_nothing() -> None:
    assert envelope.read(event(), {"Nats-Msg-Id": "1"}) == envelope.read(event())


def test_the_content_type_says_that_a_message_is_structured() -> None:
    headers = HEADERS | {"content-type": "application/cloudevents+json; charset=utf-8", "ce-id": "another"}

    assert envelope.read(event(), headers).id == "1"


def test_a_batch_is_refused_by_name() -> None:
    assert problems(b"[]", {"content-type": "application/cloudevents-batch+json"}) == [("envelope.batch", "")]


def test_milliseconds_name_an_instant_in_utc() -> None:
    assert envelope.timestamp(1_500) == datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)
