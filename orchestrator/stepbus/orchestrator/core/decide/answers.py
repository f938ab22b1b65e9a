"""A worker answers.

Only the current attempt of a step in hand is heard; any other answer changes nothing and says why.
"""

from collections.abc import Iterable, Sequence

from stepbus.contracts import events as e
from stepbus.contracts.messages import StepError
from stepbus.contracts.problems import Problem
from stepbus.orchestrator.core.commands import Answer, CompleteStep, FailStep, RecordHeartbeat
from stepbus.orchestrator.core.decide.decision import NOTHING, Decision, blocked, dispatch, rejected
from stepbus.orchestrator.core.readiness import released
from stepbus.orchestrator.core.retry import delay_ms
from stepbus.orchestrator.core.state import ENDED_TASK, IN_HAND, MOVING, StepStatus, TaskState

PROGRESS_EVERY_MS = 30_000


def complete_step(state: TaskState, command: CompleteStep) -> Decision:
    """Take the result, and dispatch what it makes ready; a result that breaks its schema is a failed attempt."""
    number = state.plan.index.get(command.step)
    if number is None or not _is_current(state, number, command):
        return _unheard(state, number, command)
    problems = state.plan.result_problems(number, command.result)
    if problems:
        return _failed(state, number, command.attempt, _broken("result", problems), command.at_ms)
    completed = e.StepCompleted(step=command.step, attempt=command.attempt, result=command.result)
    return Decision((completed, *follow_up(state, number, command.at_ms)))


def fail_step(state: TaskState, command: FailStep) -> Decision:
    """Take the failure, and say when the next attempt is due, if there is one."""
    number = state.plan.index.get(command.step)
    if number is None or not _is_current(state, number, command):
        return _unheard(state, number, command)
    error = command.error
    problems = state.plan.error_problems(number, error)
    if problems:
        error = _broken("error", problems, error)
    return _failed(state, number, command.attempt, error, command.at_ms)


def record_heartbeat(state: TaskState, command: RecordHeartbeat) -> Decision:
    """Start the deadline anew.

    Recorded are the first beat, one in each half of a timeout, and progress at most so often.
    """
    number = state.plan.index.get(command.step)
    if number is None or not _is_current(state, number, command):
        return NOTHING
    timeout = state.plan.steps[number].timeout
    since_last = command.at_ms - (state.due_ms[number] - timeout)
    is_first = state.step_status[number] == StepStatus.DISPATCHED
    pause = min(timeout // 2, PROGRESS_EVERY_MS) if command.progress is not None else timeout // 2
    if not is_first and since_last < pause:
        return NOTHING
    beat = e.StepHeartbeatRecorded(
        step=command.step, attempt=command.attempt, deadline_at_ms=command.at_ms + timeout, progress=command.progress
    )
    return Decision((beat,))


def follow_up(state: TaskState, number: int, at_ms: int) -> Sequence[e.Event]:
    """Give what a step's being satisfied brings: dispatches, or the end of the task."""
    if state.satisfied + 1 == len(state.plan.steps):
        return (e.TaskCompleted(),)
    ready = released(state, (number,))
    if ready:
        return dispatch(state, ready, at_ms)
    moving = state.moving - (state.step_status[number] in MOVING)
    return blocked(state, moving, mended=number)


def ended_badly(
    state: TaskState, number: int, attempt: int, at_ms: int, retry_after_s: float | None, *, retryable: bool
) -> tuple[int | None, Sequence[e.Event]]:
    """Give when the next attempt is due, None for never, and what that means for the task."""
    if retryable and attempt < state.max_attempts(number):
        step = state.plan.steps[number]
        return at_ms + delay_ms(step.retry, state.task_id, step.name, attempt, retry_after_s), ()
    return None, blocked(state, state.moving - 1, newly_failed=(number,))


def _failed(state: TaskState, number: int, attempt: int, error: StepError, at_ms: int) -> Decision:
    retry_at_ms, consequences = ended_badly(state, number, attempt, at_ms, error.retry_after, retryable=error.retryable)
    name = state.plan.steps[number].name
    return Decision((e.StepFailed(step=name, attempt=attempt, error=error, retry_at_ms=retry_at_ms), *consequences))


def _broken(what: str, problems: Iterable[Problem], error: StepError | None = None) -> StepError:
    """Give the failure of an attempt whose result, or error, is not what the template's schema promises."""
    shown = [problem.model_dump(mode="json", exclude_none=True) for problem in problems]
    told: dict[str, object] = {"problems": shown}
    if error is not None:
        told["error"] = error.model_dump(mode="json", exclude_none=True)
    return StepError(
        code=f"{what}.schema",
        message=f"{shown[0]['message']} at {shown[0]['pointer']}, by the template's {what}_schema",
        retryable=error is None or error.retryable,
        retry_after=None if error is None else error.retry_after,
        details=told,
    )


def _is_current(state: TaskState, number: int, answer: Answer) -> bool:
    return answer.attempt == state.attempts[number] and state.step_status[number] in IN_HAND


def _unheard(state: TaskState, number: int | None, answer: CompleteStep | FailStep) -> Decision:
    if number is None:
        message = f"expected a step of task {state.task_id}, found {answer.step!r}"
        return rejected("result.unknown_step", message, "/data/step", "missing")
    attempts, status = state.attempts[number], StepStatus(state.step_status[number])
    if answer.attempt > attempts:
        message = f"expected an attempt up to {attempts} of {answer.step!r}, found {answer.attempt}"
        return rejected("result.unknown_attempt", message, "/data/attempt", "missing")
    if answer.attempt < attempts:
        message = f"expected attempt {attempts} of {answer.step!r}, found {answer.attempt}, which it superseded"
        return rejected("result.superseded", message, "/data/attempt")
    if (
        status == StepStatus.COMPLETE
        and isinstance(answer, CompleteStep)
        and answer.result == state.results.get(number)
    ):
        return rejected("result.duplicate", f"attempt {attempts} of {answer.step!r} is complete with this very result")
    if status == StepStatus.COMPLETE:
        return rejected("result.conflicting", f"attempt {attempts} of {answer.step!r} is complete with another result")
    if state.status in ENDED_TASK:
        return rejected("result.task_ended", f"the task is {state.status.value}")
    return rejected("result.late", f"attempt {attempts} of {answer.step!r} is no longer in hand: {status.name.lower()}")
