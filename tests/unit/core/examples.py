"""Small templates, events and commands. An attempt has 30 seconds; retries wait 1, 2, 4 s, without jitter."""

from itertools import pairwise
from typing import Any

from stepbus.contracts import events as e
from stepbus.contracts.messages import StepError
from stepbus.contracts.template import TaskTemplate, from_mapping
from stepbus.orchestrator.core import commands as c
from stepbus.orchestrator.testing.given import TASK_ID, Stories, stories_of

NOW = 1_000_000
TIMEOUT = 30_000
RETRY = {"max_attempts": 3, "backoff": "exponential", "initial": "1s", "factor": 2.0, "max": "10s", "jitter": 0.0}


def template(*steps: str | dict[str, Any], **fields: Any) -> TaskTemplate:
    """A template of steps written as `"c < a b"` (c depends on a and b), or as a document has them."""
    document = {
        "name": "example",
        "version": "1.0.0",
        "defaults": {"timeout": "30s", "retry": RETRY},
        "steps": [step(written) if isinstance(written, str) else written for written in steps],
    }
    return from_mapping({**document, **fields})


def step(written: str, **fields: Any) -> dict[str, Any]:
    name, _, needed = written.partition("<")
    return {"name": name.strip(), "depends_on": needed.split(), **fields}


def stories(*steps: str | dict[str, Any], **fields: Any) -> Stories:
    return stories_of(template(*steps, **fields))


def accepted(given: Stories, **fields: Any) -> e.TaskAccepted:
    told = given.plan.template
    values = {
        "namespace": told.namespace,
        "name": told.name,
        "version": told.version,
        "template_hash": told.hash,
        "context": {},
        "request_id": "request-1",
    }
    return e.TaskAccepted(**{**values, **fields})


def dispatched(name: str, attempt: int = 1, at: int = NOW, timeout: int = TIMEOUT) -> e.StepDispatched:
    return e.StepDispatched(step=name, attempt=attempt, deadline_at_ms=at + timeout)


def completed(name: str, attempt: int = 1, result: Any = None) -> e.StepCompleted:
    return e.StepCompleted(step=name, attempt=attempt, result=result)


def failed(name: str, attempt: int = 1, retry_at: int | None = None, error: StepError | None = None) -> e.StepFailed:
    return e.StepFailed(step=name, attempt=attempt, error=error or problem(), retry_at_ms=retry_at)


def timed_out(name: str, attempt: int = 1, retry_at: int | None = None) -> e.StepTimedOut:
    return e.StepTimedOut(step=name, attempt=attempt, retry_at_ms=retry_at)


def cancelled(name: str, attempt: int = 1) -> e.StepCancelled:
    return e.StepCancelled(step=name, attempt=attempt)


def task_failed(*steps: str, code: str = "task.blocked_by_failures") -> e.TaskFailed:
    return e.TaskFailed(code=code, failed_steps=steps)


def problem(code: str = "broken", **fields: Any) -> StepError:
    return StepError(code=code, **fields)


def permanent() -> StepError:
    return problem("impossible", retryable=False)


def request(given: Stories, at: int = NOW, **fields: Any) -> c.RequestTask:
    return c.RequestTask(TASK_ID, given.plan, fields.pop("context", {}), "request-1", at, **fields)


def complete(name: str, attempt: int = 1, result: Any = None, at: int = NOW) -> c.CompleteStep:
    return c.CompleteStep(TASK_ID, name, attempt, result, at)


def fail(name: str, attempt: int = 1, error: StepError | None = None, at: int = NOW) -> c.FailStep:
    return c.FailStep(TASK_ID, name, attempt, error or problem(), at)


def beat(name: str, attempt: int = 1, progress: Any = None, at: int = NOW) -> c.RecordHeartbeat:
    return c.RecordHeartbeat(TASK_ID, name, attempt, progress, at)


def time_out(name: str, attempt: int = 1, at: int = NOW + TIMEOUT) -> c.TimeOutStep:
    return c.TimeOutStep(TASK_ID, name, attempt, at)


def retry_due(name: str, attempt: int = 1, at: int = NOW) -> c.DispatchRetry:
    return c.DispatchRetry(TASK_ID, name, attempt, at)


def cancel(at: int = NOW, reason: str = "") -> c.CancelTask:
    return c.CancelTask(TASK_ID, reason, at)


def resolve_task(at: int = NOW, reason: str = "") -> c.ResolveTask:
    return c.ResolveTask(TASK_ID, reason, at)


def retry(name: str, at: int = NOW, reason: str = "") -> c.RetryStep:
    return c.RetryStep(TASK_ID, name, reason, at)


def resolve(name: str, result: Any = None, at: int = NOW, reason: str = "") -> c.ResolveStep:
    return c.ResolveStep(TASK_ID, name, result, reason, at)


def chain(length: int, **fields: Any) -> TaskTemplate:
    """Steps s0, s1, ... each waiting for the one before."""
    return template("s0", *(f"s{number} < s{number - 1}" for number in range(1, length)), **fields)


def many_roots(count: int, **fields: Any) -> TaskTemplate:
    """Steps s0, s1, ... that wait for nothing, and `join` that waits for all of them."""
    names = [f"s{number}" for number in range(count)]
    return template(*names, f"join < {' '.join(names)}", **fields)


def layers(count: int, width: int, **fields: Any) -> TaskTemplate:
    """Rows of steps named s<row>x<column>, each waiting for every step of the row before."""
    rows = [[f"s{row}x{column}" for column in range(width)] for row in range(count)]
    steps = list(rows[0])
    for before, row in pairwise(rows):
        steps += [f"{name} < {' '.join(before)}" for name in row]
    return template(*steps, **fields)
