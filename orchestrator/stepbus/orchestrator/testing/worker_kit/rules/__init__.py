"""The rules that every worker must keep to, in any language, in the order in which they are tried."""

from collections.abc import Sequence
from difflib import get_close_matches

from stepbus.contracts.problems import Problem, Refused
from stepbus.orchestrator.testing.worker_kit.rules import (
    answers,
    deliveries,
    envelopes,
    failures,
    inputs,
    poison,
    stops,
    times,
)
from stepbus.orchestrator.testing.worker_kit.rules.rule import Rule

__all__ = ["RULES", "Rule", "chosen"]

_BY_COMMAND = [rule for rule in deliveries.RULES if rule.needs_command]
RULES: tuple[Rule, ...] = (
    *answers.RULES,
    *envelopes.RULES,
    *inputs.RULES,
    *failures.RULES,
    *(rule for rule in deliveries.RULES if not rule.needs_command),
    *times.RULES,
    *poison.RULES,
    *deliveries.SETTLED,
    *_BY_COMMAND,
    *stops.RULES,
)


def chosen(names: Sequence[str] = ()) -> Sequence[Rule]:
    """Give the rules of these ids or groups; all, if none are named.

    Raises:
        Refused: `conform.rule`, a name is of neither.
    """
    known = {rule.id for rule in RULES} | {rule.group for rule in RULES}
    problems = []
    for name in names:
        if name not in known:
            near = get_close_matches(name, sorted(known), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            message = f"expected the id or the group of a rule, found {name[:100]!r}{hint}"
            problems.append(Problem(code="conform.rule", message=message, pointer="/only"))
    if problems:
        raise Refused(problems)
    return [rule for rule in RULES if not names or rule.id in names or rule.group in names]
