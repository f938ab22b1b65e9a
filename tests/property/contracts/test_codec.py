"""Bytes of any kind: read as every strict reader reads them, or refused; never anything else."""

import json
import math
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from stepbus.contracts import codec, envelope, messages
from stepbus.contracts.document import MAX_INTEGER, read_json
from stepbus.contracts.problems import Refused

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))

# fmt: off
FRAGMENTS = st.sampled_from([
    "{", "}", "[", "]", ",", ":", '"a"', '"b"', '"\\u0000"', '"\\ud800"', '"\\u0061"', "1", "-0",
    "1.5", "1e999", "NaN", "Infinity", "true", "null", "9007199254740993", "18446744073709551616", " ", "\n",
    '"', "\\", "\u00e9", "\ufeff",
])
# fmt: on
NEARLY_JSON = st.lists(FRAGMENTS, max_size=25).map("".join)


def is_read(body: bytes) -> bool:
    try:
        codec.decode(body)
    except Refused:
        return False
    return True


@given(VALUES)
def test_what_is_encoded_is_decoded_again(value: Any) -> None:
    assert codec.decode(codec.encode(value)) == value


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_every_way_of_writing_a_value_gives_it(value: Any, plain: bool, indent: int | None) -> None:  # noqa: FBT001
    assert codec.decode(json.dumps(value, ensure_ascii=plain, indent=indent).encode()) == value


@given(st.binary(max_size=60))
@example(b"\xff")
def test_bytes_of_any_kind_are_read_or_refused(body: bytes) -> None:
    is_read(body)


@given(NEARLY_JSON)
@example('{"a":1,"a":1}')
@example("[18446744073709551616]")
@example('["\\\\u0000"]')
def test_the_quick_reader_and_the_careful_one_agree(text: str) -> None:
    document = read_json(text)

    assert is_read(text.encode()) == (not document.problems)
    if not document.problems:
        value = codec.decode(text.encode())
        assert value == document.value
        assert type(value) is type(document.value)


@given(NEARLY_JSON)
def test_what_is_read_is_what_others_read(text: str) -> None:
    if is_read(text.encode()):
        assert codec.decode(text.encode()) == json.loads(text) == orjson.loads(text)


@given(VALUES)
def test_canonical_bytes_do_not_depend_on_the_order_of_keys(value: Any) -> None:
    assert codec.canonical(value) == codec.canonical(_turned(value))


def _turned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(value)}
    return [_turned(item) for item in value] if isinstance(value, list) else value


@given(st.recursive(st.floats() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)))
def test_no_number_is_encoded_as_null(value: Any) -> None:
    try:
        body = codec.encode(value)
    except Refused:
        return
    assert all(math.isfinite(number) for number in _numbers(value))
    assert codec.decode(body) == value


def _numbers(value: Any) -> list[float]:
    if isinstance(value, float):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [number for part in inner for number in _numbers(part)]


HEADERS = st.dictionaries(
    st.sampled_from(
        ["ce-specversion", "CE-Id", "ce-source", "ce-type", "ce-time", "content-type", "ce-datacontenttype"]
    )
    | st.text(max_size=6),
    st.sampled_from(["1.0", "application/json", "application/cloudevents+json", "%zz", "%ff", "2026-01-01T00:00:00Z"])
    | st.text(max_size=6),
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from(["1.0", "1", "step.completed", "task.requested", "2026-01-01T00:00:00Z"]) | VALUES
        for name in ("specversion", "id", "source", "type", "time", "data", "tenant", "dataschema", "other")
    },
)


@given(st.binary(max_size=20) | EVENTS.map(orjson.dumps), HEADERS)
def test_a_message_of_any_kind_is_an_event_or_refused(body: bytes, headers: dict[str, str]) -> None:
    try:
        event = envelope.read(body, headers)
    except Refused:
        return
    assert event.specversion == "1.0"


@given(st.sampled_from(messages.MESSAGES), VALUES | st.dictionaries(TEXT, VALUES))
def test_data_of_any_kind_is_a_message_or_refused(message: type[messages.Message], data: Any) -> None:
    try:
        read = messages.read(envelope.CloudEvent(id="1", source="/s", type=message.TYPE, data=data))
    except Refused:
        return
    assert type(read) is message
