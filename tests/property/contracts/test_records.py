"""Stored bytes of any kind are a record, in today's shapes, or refused."""

from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from stepbus.contracts.events import EVENTS, UPCASTERS, Event, Metadata, Record, decode_record, encode_record
from stepbus.contracts.problems import Refused
from stepbus.contracts.template import check
from tests.support import golden

TEMPLATE = check((golden.GOLDEN / golden.WRITTEN_TEMPLATE).read_bytes(), "yaml")
EXAMPLES = tuple(golden.events(TEMPLATE))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from([event.TYPE for event in EVENTS]) | VALUES,
        "version": st.integers(-1, 3) | VALUES,
        "data": st.sampled_from([event.model_dump(mode="json") for event in EXAMPLES]) | VALUES,
    },
)


@given(
    st.integers(1, 2**40),
    st.builds(Metadata, at_ms=st.integers(0, 2**50), tenant=TEXT, correlation_id=TEXT, causation_id=TEXT, actor=TEXT),
    st.lists(st.sampled_from(EXAMPLES), max_size=4),
)
def test_a_record_is_stored_and_read_back(first: int, meta: Metadata, events: list[Event]) -> None:
    record = Record(first, meta, tuple(events))

    assert decode_record(encode_record(record)) == record
    assert encode_record(decode_record(encode_record(record))) == encode_record(record)


@given(st.binary(max_size=40))
@example(b"[" * 5_000)
def test_bytes_of_any_kind_are_a_record_or_refused(data: bytes) -> None:
    _is_read_or_refused(data)


@given(
    st.fixed_dictionaries({"first": st.just(1), "meta": st.just({"at_ms": 1}) | VALUES, "events": st.lists(ENTRIES)})
)
def test_entries_of_any_kind_are_events_or_refused(stored: dict[str, Any]) -> None:
    _is_read_or_refused(orjson.dumps(stored))


@given(st.sampled_from(EXAMPLES), VALUES)
def test_every_stored_version_is_read_or_refused_whatever_its_data(event: Event, data: Any) -> None:
    for version in range(1, event.VERSION + 1):
        entry = {"type": event.TYPE, "version": version, "data": data}
        _is_read_or_refused(orjson.dumps({"first": 1, "meta": {"at_ms": 1}, "events": [entry]}))


def test_every_version_before_todays_leads_up_to_the_next() -> None:
    wanted = {(event.TYPE, version) for event in EVENTS for version in range(1, event.VERSION)}

    assert set(UPCASTERS) == wanted


def _is_read_or_refused(data: bytes) -> None:
    try:
        record = decode_record(data)
    except Refused:
        return
    assert decode_record(encode_record(record)) == record
