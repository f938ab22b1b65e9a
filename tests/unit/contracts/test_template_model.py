"""What a template is known by, how durations are written, and which version is the higher."""

import json
from itertools import pairwise

import pytest
from pydantic import ValidationError

from stepbus.contracts.template import (
    RetryPolicy,
    StepTemplate,
    TaskTemplate,
    format_duration,
    from_mapping,
    parse_duration,
    semver_key,
)

TEMPLATE = TaskTemplate(
    name="a",
    version="1.0.0",
    context_schema={"type": "object"},
    timeout=90_000,
    steps=(StepTemplate(name="s", handler="h", queue="q", retry=RetryPolicy(initial=250), result_schema=True),),
)


def test_the_canonical_form_is_a_document_that_gives_the_same_template() -> None:
    assert from_mapping(TEMPLATE.canonical()) == TEMPLATE


def test_the_canonical_form_says_everything_in_json_as_people_write_it() -> None:
    canonical = TEMPLATE.canonical()

    assert json.loads(json.dumps(canonical)) == canonical
    assert canonical["timeout"] == "90s"
    assert canonical["steps"][0]["retry"] == {
        "max_attempts": 3,
        "backoff": "exponential",
        "initial": "250ms",
        "factor": 2.0,
        "max": "30s",
        "jitter": 0.1,
    }


def test_equal_templates_have_one_hash_and_others_another() -> None:
    written_otherwise = {
        "version": "1.0.0",
        "timeout": "90000ms",
        "steps": [{"queue": "q", "handler": "h", "name": "s", "retry": {"initial": "250ms"}, "result_schema": True}],
        "name": "a",
        "context_schema": {"type": "object"},
    }

    assert from_mapping(written_otherwise).hash == TEMPLATE.hash
    assert TEMPLATE.model_copy(update={"description": "x"}, deep=True).canonical() != TEMPLATE.canonical()
    assert from_mapping(written_otherwise | {"description": "x"}).hash != TEMPLATE.hash


def test_a_stored_template_is_read_without_being_checked_anew() -> None:
    assert TaskTemplate.model_validate(TEMPLATE.canonical()) == TEMPLATE


def test_a_template_does_not_change() -> None:
    with pytest.raises(ValidationError):
        TEMPLATE.name = "b"


def test_a_resolved_step_has_a_handler_and_a_queue() -> None:
    with pytest.raises(ValidationError):
        StepTemplate(name="s", handler="h")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("3d", 259_200_000), ("0s", 0)],
)
def test_durations_are_written_and_read_in_the_largest_unit_that_is_exact(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds
    assert format_duration(milliseconds) == text


@pytest.mark.parametrize("text", ["", "5", "s", "1.5s", "-1s", "+1s", "01s", "1 s", "1S", "1w", "1s ", "1s\n", "1e3s"])
def test_other_ways_of_writing_are_no_durations(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(("milliseconds", "text"), [(90_000, "90s"), (1_001, "1001ms"), (86_400_000, "1d")])
def test_a_duration_is_exact(milliseconds: int, text: str) -> None:
    assert format_duration(milliseconds) == text


def test_versions_are_ordered_as_semantic_versioning_says() -> None:
    rising = [
        "0.9.0",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.0+build.1",
        "1.0.0+build.2",
        "1.2.0",
        "1.10.0",
        "2.0.0-0",
        "2.0.0",
    ]

    assert all(semver_key(lower) < semver_key(higher) for lower, higher in pairwise(rising))


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0.0", "1.0.0-01", "1.0.0+", "1.0.0\n", "\uff11.0.0"])
def test_what_is_no_semantic_version_has_no_place_in_the_order(version: str) -> None:
    with pytest.raises(ValueError, match="expected a semantic version"):
        semver_key(version)
