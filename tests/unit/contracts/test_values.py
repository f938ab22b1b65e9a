"""Values: what is compared by its fields, and made by the million."""

import gc
from uuid import UUID

import pytest
from pydantic import ValidationError

from stepbus.contracts import events as e
from stepbus.contracts.values import value


@value()
class Point:
    x: int
    y: int = 0


@value(kw_only=True)
class Named:
    name: str


def test_values_are_compared_by_their_fields_and_can_be_keys() -> None:
    assert Point(1) == Point(1, 0) != Point(1, 2)
    assert {Point(1): "a"}[Point(1)] == "a"


def test_a_value_may_be_made_by_its_names_alone() -> None:
    with pytest.raises(TypeError):
        Named("a")  # type: ignore[call-arg]


def test_a_value_is_one_object_and_has_no_room_for_more() -> None:
    point = Point(1)

    assert [part for part in gc.get_referents(point) if gc.is_tracked(part)] == [Point]
    with pytest.raises(AttributeError):
        point.z = 1  # type: ignore[attr-defined]


def test_the_type_checker_lets_nobody_change_a_value() -> None:
    point = Point(1)

    point.x = 2  # type: ignore[misc] # it is this comment that is tested: needless, it would be an error

    assert point == Point(2)


@pytest.mark.parametrize("event", [*e.EVENTS, e.Metadata], ids=lambda shape: shape.__name__)
def test_every_stored_shape_is_a_value(event: type[e.Event]) -> None:
    assert not hasattr(event.__new__(event), "__dict__")


def test_an_event_is_validated_when_it_is_read_from_what_others_say() -> None:
    told = {"step": "a", "attempt": 1, "deadline_at_ms": 5}

    assert e.StepDispatched.model_validate(told) == e.StepDispatched(step="a", attempt=1, deadline_at_ms=5)
    for wrong in ({"attempt": "x"}, {"more": 1}):
        with pytest.raises(ValidationError):
            e.StepDispatched.model_validate(told | wrong)


def test_an_event_gives_its_fields_as_they_are_and_as_json_has_them() -> None:
    task_id = UUID(int=7)
    ignored = e.AnswerIgnored(task_id=task_id, step="a", attempt=1, code="c", reason="r", answer_type="t")

    assert ignored.model_dump()["task_id"] == task_id
    assert ignored.model_dump(mode="json") == ignored.model_dump() | {"task_id": str(task_id)}


def test_a_copy_of_an_event_is_changed_where_that_is_said() -> None:
    event = e.StepCancelled(step="a", attempt=1)

    assert event.model_copy(update={"step": "b"}) == e.StepCancelled(step="b", attempt=1)
    assert event.step == "a"
