"""Something is due. A timer that is no longer current, or not yet due by the store's clock, decides nothing."""

from stepbus.contracts import events as e
from stepbus.orchestrator.core.commands import DispatchRetry, TimeOutStep, TimeOutTask
from stepbus.orchestrator.core.decide.answers import ended_badly
from stepbus.orchestrator.core.decide.decision import DEADLINE_EXCEEDED, NOTHING, Decision, cancel_steps, dispatch
from stepbus.orchestrator.core.state import IN_HAND, MOVING, StepStatus, TaskState, TaskStatus


def time_out_step(state: TaskState, command: TimeOutStep) -> Decision:
    """End an attempt whose deadline has passed, as a failure that may be tried again."""
    number = state.plan.index.get(command.step)
    if number is None or state.step_status[number] not in IN_HAND or not _is_due(state, number, command):
        return NOTHING
    retry_at_ms, consequences = ended_badly(state, number, command.attempt, command.at_ms, None, retryable=True)
    timed_out = e.StepTimedOut(step=command.step, attempt=command.attempt, retry_at_ms=retry_at_ms)
    return Decision((timed_out, *consequences))


def dispatch_retry(state: TaskState, command: DispatchRetry) -> Decision:
    """Dispatch the next attempt of a step whose delay has passed."""
    number = state.plan.index.get(command.step)
    if (
        number is None
        or state.step_status[number] != StepStatus.WAITING_FOR_RETRY
        or not _is_due(state, number, command)
    ):
        return NOTHING
    return Decision(tuple(dispatch(state, (number,), command.at_ms)))


def time_out_task(state: TaskState, command: TimeOutTask) -> Decision:
    """Fail a task whose deadline has passed: what moves is cancelled, what is pending waits for an operator."""
    is_running = state.status in (TaskStatus.PENDING, TaskStatus.IN_PROGRESS)
    if not is_running or state.deadline_at_ms is None or command.at_ms < state.deadline_at_ms:
        return NOTHING
    failed = tuple(state.plan.steps[number].name for number in state.numbers(StepStatus.ERROR))
    return Decision((*cancel_steps(state, MOVING), e.TaskFailed(code=DEADLINE_EXCEEDED, failed_steps=failed)))


def _is_due(state: TaskState, number: int, command: TimeOutStep | DispatchRetry) -> bool:
    return state.attempts[number] == command.attempt and state.due_ms[number] <= command.at_ms
