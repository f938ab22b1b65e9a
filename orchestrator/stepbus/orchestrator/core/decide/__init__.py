"""What follows from a command: events, or a rejection with a code. Pure; a repeat decides nothing.

A step is dispatched in the same decision as the fact that made it ready, and a task ends in the same decision as the
step that ended it, so neither can be lost between two.
"""

from collections.abc import Callable, Mapping
from typing import Any

from stepbus.orchestrator.core import commands as c
from stepbus.orchestrator.core.decide.answers import complete_step, fail_step, record_heartbeat
from stepbus.orchestrator.core.decide.decision import Decision, Rejection
from stepbus.orchestrator.core.decide.operators import cancel_task, resolve_step, resolve_task, retry_step
from stepbus.orchestrator.core.decide.request import request_task
from stepbus.orchestrator.core.decide.timers import dispatch_retry, time_out_step, time_out_task
from stepbus.orchestrator.core.state import TaskState

__all__ = ["Decision", "Rejection", "decide"]


def decide(state: TaskState, command: c.Command) -> Decision:
    """Give what follows from the command for a task in this state, which stays as it is."""
    return _DECIDERS[type(command)](state, command)


_DECIDERS: Mapping[type[c.Command], Callable[[TaskState, Any], Decision]] = {
    c.RequestTask: request_task,
    c.CompleteStep: complete_step,
    c.FailStep: fail_step,
    c.RecordHeartbeat: record_heartbeat,
    c.TimeOutStep: time_out_step,
    c.DispatchRetry: dispatch_retry,
    c.TimeOutTask: time_out_task,
    c.CancelTask: cancel_task,
    c.ResolveTask: resolve_task,
    c.RetryStep: retry_step,
    c.ResolveStep: resolve_step,
}
