"""A task is asked for."""

from collections.abc import Iterator
from itertools import chain, islice

from stepbus.contracts import events as e
from stepbus.contracts.problems import MAX_PROBLEMS, Problem
from stepbus.orchestrator.core.commands import RequestTask
from stepbus.orchestrator.core.decide.decision import NOTHING, Decision, Rejection, dispatch
from stepbus.orchestrator.core.readiness import at_start
from stepbus.orchestrator.core.state import TaskState


def request_task(state: TaskState, command: RequestTask) -> Decision:
    """Accept the task and dispatch its first steps, or say all that is wrong with the request."""
    if state.version:
        return NOTHING
    found = chain(command.plan.context_problems(command.context), _bypass_problems(command))
    problems = tuple(islice(found, MAX_PROBLEMS))
    if problems:
        return Decision(rejection=Rejection(problems, "invalid"))
    template = command.plan.template
    timeout_ms = template.timeout if command.timeout_ms is None else command.timeout_ms
    accepted = e.TaskAccepted(
        namespace=template.namespace,
        name=template.name,
        version=template.version,
        template_hash=template.hash,
        context=command.context,
        request_id=command.request_id,
        deadline_at_ms=None if timeout_ms is None else command.at_ms + timeout_ms,
        replyto=command.replyto,
    )
    bypassed = tuple(dict.fromkeys(command.plan.index[name] for name in command.bypass_steps))
    ready = at_start(state, bypassed)
    return Decision(
        (
            accepted,
            *(e.StepBypassed(step=state.plan.steps[number].name) for number in bypassed),
            *dispatch(state, ready, command.at_ms),
            *(() if ready else (e.TaskCompleted(),)),
        )
    )


def _bypass_problems(command: RequestTask) -> Iterator[Problem]:
    for position, name in enumerate(command.bypass_steps):
        pointer = f"/bypass_steps/{position}"
        number = command.plan.index.get(name)
        if number is None:
            yield Problem(
                code="task.unknown_step", message=f"expected a step of the template, found {name!r}", pointer=pointer
            )
        elif not command.plan.steps[number].skippable:
            message = f"expected a step that the template calls skippable, but {name!r} is not"
            yield Problem(code="task.not_skippable", message=message, pointer=pointer)
