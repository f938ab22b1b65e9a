"""Environments laid over a template, and the defaults under its steps."""

from typing import Any

import pytest

from stepbus.contracts.problems import Refused
from stepbus.contracts.template import RetryPolicy, StepTemplate, TaskTemplate, from_mapping

BASE: dict[str, Any] = {
    "name": "a",
    "namespace": "shop",
    "version": "1.0.0",
    "timeout": "1h",
    "context_schema": {"type": "object"},
    "defaults": {"retry": {"max_attempts": 5, "jitter": 0}, "timeout": "10s"},
    "steps": [{"name": "s", "retry": {"max_attempts": 2}}, {"name": "t", "depends_on": ["s"], "timeout": "20s"}],
}


def with_environment(**overlay: Any) -> dict[str, Any]:
    return BASE | {"environments": {"production": overlay}}


def production(**overlay: Any) -> TaskTemplate:
    return from_mapping(with_environment(**overlay), "production")


def step(template: TaskTemplate, name: str) -> StepTemplate:
    (found,) = (step for step in template.steps if step.name == name)
    return found


def problems(template: dict[str, Any], environment: str | None = None) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as refused:
        from_mapping(template, environment)
    return [(problem.code, problem.pointer) for problem in refused.value.problems]


def test_defaults_stand_under_what_steps_say() -> None:
    template = from_mapping(BASE)

    assert step(template, "s").timeout == 10_000
    assert step(template, "t").timeout == 20_000


def test_a_steps_retry_is_laid_over_the_defaults_key_by_key() -> None:
    template = from_mapping(BASE)

    assert step(template, "s").retry == RetryPolicy(max_attempts=2, jitter=0)
    assert step(template, "t").retry == RetryPolicy(max_attempts=5, jitter=0)


def test_without_defaults_a_step_has_those_of_the_design() -> None:
    (bare,) = from_mapping({"name": "a", "version": "1.0.0", "steps": [{"name": "s"}]}).steps

    assert bare == StepTemplate(name="s", handler="default.s", queue="default.s")
    assert bare.timeout == 300_000
    assert bare.retry.max_attempts == 3


def test_a_handler_is_named_for_namespace_and_step_and_the_queue_for_the_handler() -> None:
    assert step(from_mapping(BASE), "s").handler == "shop.s"
    named = from_mapping(BASE | {"steps": [{"name": "s", "handler": "orders.check"}, {"name": "t", "queue": "slow"}]})

    assert (step(named, "s").handler, step(named, "s").queue) == ("orders.check", "orders.check")
    assert (step(named, "t").handler, step(named, "t").queue) == ("shop.t", "slow")


def test_an_environment_replaces_what_it_says_and_leaves_the_rest() -> None:
    overlay = {"timeout": "2h", "context_schema": True, "steps": [{"name": "t", "timeout": "1m", "depends_on": []}]}
    template = production(**overlay)

    assert template.timeout == 7_200_000
    assert template.context_schema is True
    assert step(template, "t").timeout == 60_000
    assert step(template, "t").depends_on == ()
    assert step(template, "s") == step(from_mapping(BASE), "s")


def test_an_environment_may_take_away_what_is_optional() -> None:
    template = production(timeout=None, context_schema=None)

    assert (template.timeout, template.context_schema) == (None, None)


def test_an_environments_defaults_lie_over_those_of_the_template() -> None:
    template = production(defaults={"retry": {"backoff": "fixed"}})

    assert step(template, "t").retry == RetryPolicy(max_attempts=5, jitter=0, backoff="fixed")
    assert step(template, "t").timeout == 20_000
    assert step(template, "s").timeout == 10_000


def test_an_environments_step_lies_over_the_step_key_by_key() -> None:
    template = production(steps=[{"name": "s", "retry": {"backoff": "linear"}}])

    assert step(template, "s").retry == RetryPolicy(max_attempts=2, jitter=0, backoff="linear")


def test_without_an_environment_the_template_is_as_it_stands() -> None:
    assert from_mapping(with_environment(timeout="2h")) == from_mapping(BASE)


def test_a_resolved_template_holds_no_environments() -> None:
    assert "environments" not in production().canonical()


def test_an_environment_that_is_not_there_is_refused() -> None:
    assert problems(with_environment(), "test") == [("template.unknown_environment", "/environments")]
    with pytest.raises(Refused, match="expected no environment, as the template has none, found 'production'"):
        from_mapping(BASE, "production")
    with pytest.raises(
        Refused, match="one of the environments production, found 'prodution'; did you mean 'production'"
    ):
        from_mapping(with_environment(), "prodution")


@pytest.mark.parametrize(
    ("overlay", "code", "pointer"),
    [
        ({"steps": [{"name": "u"}]}, "template.unknown_step", "/environments/production/steps/0/name"),
        ({"steps": [{"name": "s"}] * 2}, "template.duplicate_step", "/environments/production/steps/1/name"),
        (
            {"steps": [{"name": "s", "depends_on": ["u"]}]},
            "template.unknown_dependency",
            "/environments/production/steps/0/depends_on/0",
        ),
        (
            {"steps": [{"name": "s", "depends_on": ["t"]}]},
            "template.cycle",
            "/environments/production/steps/0/depends_on/0",
        ),
        (
            {"steps": [{"name": "t", "result_schema": {"type": "x"}}]},
            "schema.invalid",
            "/environments/production/steps/0/result_schema/type",
        ),
        ({"context_schema": {"$ref": "http://x"}}, "schema.remote_ref", "/environments/production/context_schema/$ref"),
        (
            {"defaults": {"retry": {"initial": "2s", "max": "1s"}}},
            "template.retry",
            "/environments/production/defaults/retry",
        ),
        (
            {"steps": [{"name": "s", "retry": {"initial": "2s", "max": "1s"}}]},
            "template.retry",
            "/environments/production/steps/0/retry",
        ),
        ({"steps": [{"name": "s", "timeout": 5}]}, "template.duration", "/environments/production/steps/0/timeout"),
        ({"steps": 5}, "template.type", "/environments/production/steps"),
        ({"steps": [{"timeout": "5s"}]}, "template.missing_key", "/environments/production/steps/0/name"),
        ({"defaults": 5}, "template.type", "/environments/production/defaults"),
    ],
)
def test_every_environment_is_checked_whichever_is_asked_for(overlay: Any, code: str, pointer: str) -> None:
    assert problems(with_environment(**overlay)) == [(code, pointer)]


def test_what_is_wrong_without_an_environment_is_not_told_again_with_it() -> None:
    template = with_environment(steps=[{"name": "t", "timeout": "1s"}])
    template["steps"] = [{"name": "s", "depends_on": ["t"]}, {"name": "t", "depends_on": ["s"]}]

    assert problems(template) == [("template.cycle", "/steps/0/depends_on/0")]


def test_what_only_an_environment_makes_wrong_names_it() -> None:
    with pytest.raises(Refused, match="found s -> t -> s, in the environment 'production'"):
        production(steps=[{"name": "s", "depends_on": ["t"]}])


def test_a_step_is_held_against_the_defaults_it_lies_over() -> None:
    template = BASE | {"defaults": {"retry": {"max": "5s"}}, "steps": [{"name": "s", "retry": {"initial": "1m"}}]}

    assert problems(template) == [("template.retry", "/steps/0/retry")]


@pytest.mark.parametrize(
    ("retry", "initial", "longest"),
    [
        ({}, 1_000, 30_000),
        ({"initial": "5s"}, 5_000, 30_000),
        ({"initial": "1m"}, 60_000, 60_000),
        ({"max": "10s"}, 1_000, 10_000),
        ({"max": "250ms"}, 250, 250),
        ({"initial": "1m", "max": "1h"}, 60_000, 3_600_000),
        ({"initial": "0s", "max": "0s"}, 0, 0),
    ],
)
def test_the_first_delay_and_the_longest_make_room_for_each_other(retry: Any, initial: int, longest: int) -> None:
    (only,) = from_mapping({"name": "a", "version": "1.0.0", "steps": [{"name": "s", "retry": retry}]}).steps

    assert (only.retry.initial, only.retry.max) == (initial, longest)
