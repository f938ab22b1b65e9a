"""What is read the quick way is what the careful way reads, and what it refuses is refused for the same reasons."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from stepbus.contracts import codec, envelope, messages
from stepbus.contracts.envelope import CloudEvent
from stepbus.contracts.problems import Problem, Refused
from tests.support import golden

read_with_care: Callable[[Any], CloudEvent] = vars(envelope)["_read_with_care"]

GOLDEN = [orjson.loads(path.read_bytes()) for path in sorted((golden.GOLDEN / "messages").glob("*.json"))]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.just(1.5) | TEXT | st.just({"a": [None]}) | st.just([])
)
ATTRIBUTES = {
    **dict.fromkeys(["id", "source", "type", "subject", "tenant", "partitionkey", "mine", "Mine", "data_base64"], TEXT),
    "specversion": st.sampled_from(["1.0", "0.3"]),
    "time": st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02t03:04:05.5+02:00", "2026-01-02", "now"]),
    "datacontenttype": st.sampled_from(["application/json", "Application/JSON; charset=utf-8", "text/plain"]),
    "dataschema": st.sampled_from([messages.StepCompleted.dataschema(), messages.TaskRequested.dataschema(), "x"]),
    "data": st.sampled_from([event["data"] for event in GOLDEN]),
}


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Any]:
    """Give an event that was good, with some of its attributes left out and others set to anything."""
    event = draw(st.sampled_from(GOLDEN))
    left_out = draw(st.sets(st.sampled_from([*event, None])))
    names = st.sampled_from(list(ATTRIBUTES))
    others = {name: draw(ATTRIBUTES[name] | VALUES) for name in draw(st.sets(names, max_size=3))}
    data = {"data": event["data"] | draw(st.dictionaries(st.sampled_from([*event["data"], "new"]), VALUES, max_size=2))}
    return {name: value for name, value in (event | data).items() if name not in left_out} | others


def told(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Refused as refused:
        return refused.problems


@given(changed())
def test_the_quick_way_reads_what_the_careful_one_reads(event: dict[str, Any]) -> None:
    body = orjson.dumps(event)

    assert told(lambda: envelope.read(body)) == told(lambda: read_with_care(event))


@given(changed() | VALUES)
@example({"specversion": "1.0", "id": "1", "source": "/s", "type": "step.completed", "data": {}, "tenant": None})
def test_a_body_is_read_at_once_as_it_is_in_two_steps(value: Any) -> None:
    def in_two_steps() -> tuple[CloudEvent, messages.Message]:
        event = envelope.read(orjson.dumps(value), {"x": "y"})
        return event, messages.read(event)

    assert told(lambda: messages.read_body(orjson.dumps(value), {"x": "y"})) == told(in_two_steps)


TIMES = st.from_regex(
    r"(0000|0001|2026|9999)-(0[0-9]|1[0-3])-(0[0-9]|28|29|30|31|32)[Tt ]"
    r"(0[0-9]|2[0-5]):?[0-6]0:([0-6]0|59)(\.[0-9]{0,13})?(Z|z|[+-][0-9]{2}:[0-9]{2}|)",
    fullmatch=True,
)
RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:]{8}(?:\.[0-9]{1,12})?(?:[Zz]|[-+][0-9]{2}:[0-9]{2})", re.ASCII
)


@given(TIMES)
@example("2026-01-02T03:04:05.9999999Z")
@example("2026-01-02T03:04:05+23:59")
@example("2026-01-02T03:04:05+24:00")
@example("2026-01-02T03:04:60Z")
@example("2026-01-02T24:00:00Z")
@example("0000-01-02T03:04:05Z")
@example("2026-01-02T03:04:05Z\n")
def test_a_time_is_the_instant_that_python_reads_in_it(text: str) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "time": text}
    instant = None
    if RFC_3339.fullmatch(text):
        try:
            instant = datetime.fromisoformat(text.upper())
        except ValueError:
            instant = None

    read = told(lambda: envelope.read(codec.encode(event)))

    if instant is None:
        assert isinstance(read, tuple)
        assert [(problem.code, problem.pointer) for problem in read] == [("envelope.time", "/time")]
    else:
        assert isinstance(read, CloudEvent)
        assert read.time == instant
        assert read.time.isoformat() == instant.isoformat()


def test_a_refused_time_is_shown() -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "time": "now"}
    message = 'expected a time as RFC 3339 has it, with its zone, found the text "now"'

    assert told(lambda: envelope.read(codec.encode(event))) == (
        Problem(code="envelope.time", message=message, pointer="/time"),
    )
