"""An operator steps in. A task in error is reopened first, so that its history says that it moves again."""

from stepbus.contracts import events as e
from stepbus.contracts.template import MAX_ATTEMPTS
from stepbus.orchestrator.core.commands import CancelTask, ResolveStep, ResolveTask, RetryStep
from stepbus.orchestrator.core.decide.answers import follow_up
from stepbus.orchestrator.core.decide.decision import NOTHING, Decision, cancel_steps, dispatch, rejected
from stepbus.orchestrator.core.state import ENDED_TASK, SATISFIED, StepStatus, TaskState, TaskStatus


def cancel_task(state: TaskState, command: CancelTask) -> Decision:
    """Stop the task: open steps are cancelled and their answers will not count."""
    if state.status == TaskStatus.CANCELLED:
        return NOTHING
    if state.status in ENDED_TASK:
        return _task_ended(state)
    return Decision((*_reopening(state), *cancel_steps(state), e.TaskCancelled(reason=command.reason)))


def resolve_task(state: TaskState, command: ResolveTask) -> Decision:
    """Declare the task done, whatever its steps say; open ones are cancelled."""
    if state.status == TaskStatus.RESOLVED_MANUALLY:
        return NOTHING
    if state.status in ENDED_TASK:
        return _task_ended(state)
    return Decision((*_reopening(state), *cancel_steps(state), e.TaskResolvedManually(reason=command.reason)))


def retry_step(state: TaskState, command: RetryStep) -> Decision:
    """Dispatch another attempt now: of a step that failed for good, or of one that waits for its retry."""
    number = state.plan.index.get(command.step)
    if number is None:
        return _unknown_step(state, command.step)
    if state.status in ENDED_TASK:
        return _task_ended(state)
    attempts = state.attempts[number]
    match state.step_status[number]:
        case StepStatus.WAITING_FOR_RETRY:
            return Decision(tuple(dispatch(state, (number,), command.at_ms)))
        case StepStatus.ERROR | StepStatus.CANCELLED if attempts < MAX_ATTEMPTS:
            allowed = max(state.max_attempts(number), attempts + 1)
            reopened = e.StepReopened(step=command.step, max_attempts=allowed, reason=command.reason)
            return Decision((*_reopening(state), reopened, *dispatch(state, (number,), command.at_ms)))
        case StepStatus.ERROR | StepStatus.CANCELLED:
            return rejected(
                "step.attempts_exhausted", f"expected fewer than {MAX_ATTEMPTS} attempts, but it had {attempts}"
            )
        case status:
            found = StepStatus(status).name.lower()
            return rejected("step.not_failed", f"expected {command.step!r} to have failed, but it is {found}")


def resolve_step(state: TaskState, command: ResolveStep) -> Decision:
    """Declare a step done with this result, and dispatch what that makes ready."""
    number = state.plan.index.get(command.step)
    if number is None:
        return _unknown_step(state, command.step)
    if state.status in ENDED_TASK:
        return _task_ended(state)
    status = StepStatus(state.step_status[number])
    if status in SATISFIED:
        return rejected(
            "step.ended", f"expected {command.step!r} to be open or failed, but it is {status.name.lower()}"
        )
    resolved = e.StepResolvedManually(
        step=command.step, attempt=state.attempts[number], result=command.result, reason=command.reason
    )
    return Decision((*_reopening(state), resolved, *follow_up(state, number, command.at_ms)))


def _reopening(state: TaskState) -> tuple[e.Event, ...]:
    return (e.TaskReopened(),) if state.status == TaskStatus.ERROR else ()


def _task_ended(state: TaskState) -> Decision:
    return rejected("task.ended", f"expected a task that can still move, but it is {state.status.value}")


def _unknown_step(state: TaskState, step: str) -> Decision:
    return rejected("step.unknown", f"expected a step of task {state.task_id}, found {step!r}", kind="missing")
