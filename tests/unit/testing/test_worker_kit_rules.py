"""The rules of the conformance kit, as they are documented and chosen."""

import re
from pathlib import Path

import pytest

from stepbus.contracts.problems import Refused
from stepbus.orchestrator.testing.worker_kit import RULES, SCENARIOS, Rule, chosen

DOCUMENT = (Path(__file__).parents[3] / "docs" / "worker-conformance.md").read_text()


def row(rule: Rule) -> str:
    needs = [f"`{name}`" for name in rule.needs] + ["`--command`"] * rule.needs_command
    return f"| `{rule.id}` | {rule.title} | {', '.join(needs)} |"


def test_the_documented_rules_are_those_of_the_kit_in_their_order() -> None:
    documented = re.findall(r"(?m)^\| `[a-z]+\.[a-z_]+` \|.*$", DOCUMENT)

    assert documented == [row(rule) for rule in RULES]


def test_every_scenario_is_documented() -> None:
    assert all(f"`{name}`" in DOCUMENT for name in SCENARIOS)


def test_the_rules_are_at_least_twenty_each_with_its_own_id_and_scenarios_that_exist() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES) >= 20
    assert {name for rule in RULES for name in rule.needs} == set(SCENARIOS)


def test_rules_are_chosen_by_id_and_by_group() -> None:
    names = [rule.id for rule in chosen(["stop", "answer.token"])]

    assert names == ["answer.token", "stop.ends", "stop.loses_nothing", "stop.gives_back"]


def test_a_rule_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(Refused) as refused:
        chosen(["answer.tokn"])

    [problem] = refused.value.problems
    assert (problem.code, problem.pointer) == ("conform.rule", "/only")
    assert "did you mean answer.token?" in problem.message
