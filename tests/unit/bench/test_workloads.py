"""The workloads are those of the design, as templates that the orchestrator takes."""

from typing import get_args

import orjson
import pytest

from stepbus.contracts.template import from_mapping
from stepbus.orchestrator.bench.workloads import PAYLOAD, WORKLOADS, chosen
from stepbus.orchestrator.cli.bench import Workload


@pytest.mark.parametrize(
    ("name", "steps", "edges", "at_once", "in_flight"),
    [
        ("W1", 10, 9, (1,), 1),
        ("W2", 10, 9, (500,), 500),
        ("W3", 202, 400, (5,), 1000),
        ("W4", 4, 4, (500,), 1000),
        ("W5", 4, 3, (100, 1000, 5000), 5000),
    ],
)
def test_a_workload_is_a_template_of_its_shape(
    name: str, steps: int, edges: int, at_once: tuple[int, ...], in_flight: int
) -> None:
    workload = WORKLOADS[name]
    template = from_mapping(workload.template)

    assert (len(template.steps), sum(len(step.depends_on) for step in template.steps)) == (steps, edges)
    assert {(step.handler, step.queue) for step in template.steps} == {("bench.step", "bench.step")}
    assert (workload.steps, workload.at_once, workload.in_flight) == (steps, at_once, in_flight)


def test_only_the_fifth_holds_the_number_of_its_tasks() -> None:
    assert [name for name, workload in WORKLOADS.items() if workload.is_sustained] == ["W5"]


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_smaller_workload_has_the_same_shape(name: str) -> None:
    workload, smaller = WORKLOADS[name], WORKLOADS[name].scaled(0.02)

    assert smaller.name == name
    assert smaller.is_sustained == workload.is_sustained
    assert 0 < sum(smaller.at_once) <= sum(workload.at_once)
    assert from_mapping(smaller.template).steps[0].depends_on == ()
    assert workload.scaled(1) == workload


def test_a_smaller_fan_is_narrower() -> None:
    smaller = WORKLOADS["W3"].scaled(0.02)

    assert smaller.dependencies == ((), (0,), (0,), (0,), (0,), (1, 2, 3, 4))


def test_a_payload_is_about_a_hundred_bytes() -> None:
    assert 90 <= len(orjson.dumps(PAYLOAD)) <= 110


def test_all_stands_for_every_workload_and_the_command_line_knows_each() -> None:
    assert list(chosen("all")) == list(WORKLOADS)
    assert list(chosen("W3")) == ["W3"]
    assert {*WORKLOADS, "all"} == set(get_args(Workload))
