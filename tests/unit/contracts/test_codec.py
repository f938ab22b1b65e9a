"""Bytes from strangers: read alike by everybody, or refused."""

import json
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest

from stepbus.contracts import codec
from stepbus.contracts.problems import Refused


def codes(body: bytes) -> list[str]:
    with pytest.raises(Refused) as refused:
        codec.decode(body)
    return [problem.code for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"a":1,"a":2}', "json.duplicate_key"),
        (b'{"a": 1, "a": 2}', "json.duplicate_key"),
        (b'{"a":{"b":1,"b":1}}', "json.duplicate_key"),
        (b"[NaN]", "json.nan"),
        (b"[1e400]", "json.number_range"),
        (b"[9007199254740992]", "json.integer_range"),
        (b"[ -9007199254740992]", "json.integer_range"),
        (b"[18446744073709551616]", "json.integer_range"),
        (b"[" + b"1" * 400 + b"]", "json.integer_range"),
        (b'"\\ud800"', "json.surrogate"),
        (b'"\\u0000"', "json.nul"),
        (b"[" * 65 + b"]" * 65, "json.depth"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "json.depth"),
        (b"[" * 2000 + b"]" * 2000, "json.depth"),
        (b'"\xff"', "json.encoding"),
        (b'"\xed\xa0\x80"', "json.encoding"),
        (b"\xef\xbb\xbf{}", "json.malformed"),
        (b"", "json.malformed"),
        (b"{}x", "json.malformed"),
        (b"[1,]", "json.malformed"),
    ],
)
def test_what_readers_disagree_about_is_refused(body: bytes, code: str) -> None:
    assert codes(body) == [code]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"b":[true,null,"c"]}',
        b'{ "a" : 1 }\n',
        b'{"b":1,"a":1}',
        b'"\\u0061\\/\\\\u0000"',
        b"[9007199254740991,-9007199254740991]",
        b"[1.0,1e2,-0,0.1]",
        b'"' + "é🚀".encode() + b'"',
        b'["0123456789012345678901234567890"]',
        b"[" * 64 + b"]" * 64,
        b'[{"a":[]}' + b',{"a":[]}' * 200 + b"]",
        b'["[[[[[[[[[[", "\\"[[[[["' + b',"]]]]{{{{[[[["' * 10 + b"]",
    ],
)
def test_what_all_readers_agree_about_is_given(body: bytes) -> None:
    assert codec.decode(body) == json.loads(body)


def test_a_message_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert codec.decode(b'"aa"', limit=4) == "aa"

    with pytest.raises(Refused, match="expected at most 4 bytes, found 5"):
        codec.decode(b'"aaa"', limit=4)


def test_a_reader_of_our_own_messages_may_allow_more_levels() -> None:
    body = b"[" * 66 + b"]" * 66

    assert codec.decode(body, depth=66) == json.loads(body)
    with pytest.raises(Refused, match="expected at most 65 levels"):
        codec.decode(body, depth=65)


def test_equal_values_give_equal_bytes() -> None:
    assert (
        codec.encode({"b": 1, "a": [1.5, None]})
        == codec.encode({"a": [1.5, None], "b": 1})
        == b'{"a":[1.5,null],"b":1}'
    )


def test_times_and_ids_are_encoded_as_the_standards_write_them() -> None:
    value = [datetime(2026, 1, 2, tzinfo=UTC), UUID(int=1)]

    assert codec.encode(value) == b'["2026-01-02T00:00:00Z","00000000-0000-0000-0000-000000000001"]'


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"a": object()}, "json.unsupported"),
        ({1: 2}, "json.unsupported"),
        ([2**53], "json.unsupported"),
        ("\ud800", "json.unsupported"),
        ({"a": [None, (1.0, float("nan"))]}, "json.nan"),
        (float("inf"), "json.nan"),
    ],
)
def test_what_json_cannot_say_is_not_encoded(value: object, code: str) -> None:
    with pytest.raises(Refused) as refused:
        codec.encode(value)

    assert refused.value.problems[0].code == code


def test_canonical_bytes_are_those_of_rfc_8785() -> None:
    assert codec.canonical({"b": 2.0, "a": "\u20ac", "c": 1e21}) == b'{"a":"\xe2\x82\xac","b":2,"c":1e+21}'


def test_a_compact_body_costs_no_more_than_two_passes_in_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "read_json", lambda *_: pytest.fail("read token by token"))
    message = {"type": "step.completed", "data": {"result": [1, 2.5, "text", {"a": None}] * 40}}

    assert codec.decode(orjson.dumps(message)) == message
    assert codec.decode(json.dumps(message).encode()) == message
