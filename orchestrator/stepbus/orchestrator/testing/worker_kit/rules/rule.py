"""What a rule is, and the list that each one joins where it is written."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stepbus.orchestrator.testing.worker_kit.bench import Bench

Check = Callable[[Bench], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that every worker must do.

    Shape: `id` is `<group>.<name>`; `needs` names the scenarios of the contract that it is tried with; a gate is what
    all rules after it build on, so that they are not tried where it is broken.
    """

    id: str
    title: str
    check: Check
    needs: tuple[str, ...] = ()
    needs_command: bool = False
    is_gate: bool = False

    @property
    def group(self) -> str:
        return self.id.partition(".")[0]


class Rules(list[Rule]):
    """Rules in the order in which they are tried."""

    def rule(
        self, rule_id: str, title: str, *needs: str, command: bool = False, gate: bool = False
    ) -> Callable[[Check], Check]:
        """Add the decorated check as a rule; it raises `Broken` where the worker does not keep to it."""

        def add(check: Check) -> Check:
            self.append(Rule(rule_id, title, check, needs, needs_command=command, is_gate=gate))
            return check

        return add
