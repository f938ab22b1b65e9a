"""Why a task is where it is: for each open step what it waits for, who must act, when, and by which command."""

from typing import Any

from stepbus.orchestrator.cli.drawing.looks import look_of
from stepbus.orchestrator.cli.moments import date_and_clock
from stepbus.orchestrator.cli.pages import all_of
from stepbus.orchestrator.cli.printable import one_line
from stepbus.orchestrator.cli.remote import Api, path_of
from stepbus.orchestrator.cli.verb import paired

_OPEN = ("error", "waiting_for_retry", "in_progress", "dispatched", "pending")
"""The states of steps that are not done, those first that somebody must act on."""
_WAITING_SHOWN = 20
_ENDED = {
    "complete": "every step is satisfied; nothing is left to do",
    "cancelled": "it was cancelled; nothing moves any more",
    "resolved_manually": "an operator declared it done; nothing moves any more",
}


def reasons(api: Api, task_id: str) -> dict[str, Any]:
    """Give the task's status and its open steps, the most pressing first, each with who must act.

    Raises:
        Failure: the API can't be reached, or doesn't know the task.
    """
    task = api.get(path_of("tasks", task_id))
    steps: list[dict[str, Any]] = []
    if task["status"] not in _ENDED:
        steps = all_of(api, path_of("tasks", task_id, "steps"), "steps", None, state=",".join(_OPEN))["steps"]
    steps.sort(key=lambda step: _OPEN.index(step["state"]))
    return {
        "task_id": task_id,
        "status": task["status"],
        "reason": _ENDED.get(task["status"]) or task["reason"] or task["code"],
        "steps": [_reason_of(step) for step in steps],
        "commands": []
        if task["status"] in _ENDED
        else [f"stepbus task {verb} {task_id}" for verb in ("resolve", "cancel")],
    }


def why_text(explanation: dict[str, Any]) -> str:
    """Give the explanation as a person reads it."""
    head = f"task {explanation['task_id']}  {explanation['status']}"
    reason = explanation["reason"]
    pending = [step for step in explanation["steps"] if step["state"] == "pending"]
    parts = [f"{head}  {one_line(reason)}" if reason else head]
    parts += [_paragraph(step) for step in explanation["steps"] if step["state"] != "pending"]
    if pending:
        parts.append(
            "\n".join(
                f"{look_of('pending').symbol} {step['step']}  {one_line(step['reason'])}"
                for step in pending[:_WAITING_SHOWN]
            )
        )
    if len(pending) > _WAITING_SHOWN:
        parts.append(f"and {len(pending) - _WAITING_SHOWN:,} more steps wait; --json names them all")
    if explanation["commands"]:
        parts.append(paired(("the task", command) for command in explanation["commands"]))
    return "\n\n".join(parts)


def _reason_of(step: dict[str, Any]) -> dict[str, Any]:
    readiness = step["readiness"]
    return {
        "step": step["step"],
        "state": step["state"],
        "reason": readiness["reason"],
        "who": _who(step),
        "waits_for": readiness["waits_for"],
        "next_at_ms": readiness["next_at_ms"],
        "commands": [command["command_line"] for command in readiness["commands"]],
    }


def _who(step: dict[str, Any]) -> str:
    match step["readiness"]["blocked_by"]:
        case None:
            return f"a worker of queue {step['queue']}"
        case "in_hand":
            return f"worker {step['worker']}" if step["worker"] else f"a worker of queue {step['queue']}"
        case "retry_delay":
            return "nobody: its retry comes by itself"
        case "failed_for_good":
            return "an operator"
        case "dependencies":
            return "the steps that it waits for"
        case _:
            return "the coordinator"


def _paragraph(step: dict[str, Any]) -> str:
    pairs = [
        ("  who", step["who"]),
        ("  when", "" if step["next_at_ms"] is None else f"{date_and_clock(step['next_at_ms'])} at the latest"),
        *(("  how", command) for command in step["commands"]),
    ]
    return f"{look_of(step['state']).symbol} {step['step']}  {one_line(step['reason'])}\n{paired(pairs)}"
