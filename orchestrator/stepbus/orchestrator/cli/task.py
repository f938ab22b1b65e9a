"""`stepbus task`: list, show, steps, history, why, watch, cancel, retry, resolve."""

from collections.abc import Iterable
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer

from stepbus.orchestrator.cli.documents import json_option
from stepbus.orchestrator.cli.drawing.looks import TASK, look_of
from stepbus.orchestrator.cli.drawing.sketch import plain
from stepbus.orchestrator.cli.happenings import told
from stepbus.orchestrator.cli.moments import date_and_clock, lasting
from stepbus.orchestrator.cli.pages import Limit, all_of
from stepbus.orchestrator.cli.remote import Api, ApiKey, Url, path_of, shown_by
from stepbus.orchestrator.cli.verb import DEFAULT_URL, AsJson, Verb, answer, paired, table
from stepbus.orchestrator.cli.watch import watch
from stepbus.orchestrator.cli.why import reasons, why_text

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="List, show, watch, explain, cancel, retry and resolve tasks."
)
app.command("watch", cls=Verb)(watch)

TaskId = Annotated[UUID, typer.Argument(metavar="TASK", help="Id of the task.")]
Step = Annotated[str, typer.Argument(metavar="STEP", help="Name of the step.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the history.")]
Status = Annotated[list[str] | None, typer.Option("--status", metavar="STATUS", help=f"One of {', '.join(TASK)}.")]


@app.command("list", cls=Verb)
def list_tasks(
    *,
    status: Status = None,
    namespace: Annotated[str | None, typer.Option(metavar="NAMESPACE", help="Of this namespace only.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of the template of this name only.")] = None,
    limit: Limit = 50,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List tasks, the newest first."""
    wanted = {"status": ",".join(status) if status else None, "namespace": namespace, "name": name}
    with Api(url, api_key) as api:
        found = all_of(api, "tasks", "tasks", limit, **wanted)
    rows = (
        (
            task["task_id"],
            f"{task['namespace']}/{task['name']} {task['version']}",
            task["status"],
            f"{task['completed_steps']}/{task['total_steps']}",
            date_and_clock(task["accepted_at_ms"]),
        )
        for task in found["tasks"]
    )
    answer(found, lambda: table(("task", "template", "status", "steps", "accepted"), rows), as_json=as_json)


@app.command(cls=Verb)
def show(task_id: TaskId, *, url: Url = DEFAULT_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show a task with its execution context: where it stands, and what should happen next."""
    with Api(url, api_key) as api:
        task = api.get(path_of("tasks", task_id))
    answer(task, lambda: _described(task), as_json=as_json)


@app.command(cls=Verb)
def steps(
    task_id: TaskId,
    *,
    state: Annotated[list[str] | None, typer.Option(metavar="STATE", help="In this state only.")] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List the steps of a task: state, attempts, and why each is where it is."""
    with Api(url, api_key) as api:
        found = all_of(api, path_of("tasks", task_id, "steps"), "steps", None, state=",".join(state) if state else None)
    rows = (
        (
            f"{look_of(step['state']).symbol} {step['step']}",
            step["state"],
            f"{step['attempt']}/{step['max_attempts']}",
            step["handler"],
            step["readiness"]["reason"],
        )
        for step in found["steps"]
    )
    answer(found, lambda: table(("step", "state", "attempt", "handler", "why"), rows), as_json=as_json)


@app.command(cls=Verb)
def history(task_id: TaskId, *, url: Url = DEFAULT_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show everything that happened to a task, in order."""
    with Api(url, api_key) as api:
        found = all_of(api, path_of("tasks", task_id, "history"), "events", None)
    answer(found, lambda: plain(map(told, found["events"])), as_json=as_json)


@app.command(cls=Verb)
def why(task_id: TaskId, *, url: Url = DEFAULT_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Say what each open step waits for, who must act, when it moves next, and the command that moves it."""
    with Api(url, api_key) as api:
        explanation = reasons(api, str(task_id))
    answer(explanation, lambda: why_text(explanation), as_json=as_json)


@app.command(cls=Verb)
def cancel(
    task_id: TaskId, *, reason: Reason = "", url: Url = DEFAULT_URL, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Stop a task. Steps in hand are told nothing; their answers are ignored."""
    _change(url, api_key, ["tasks", task_id, "cancel"], {"reason": reason}, as_json=as_json)


@app.command(cls=Verb)
def retry(
    task_id: TaskId,
    step: Step,
    *,
    reason: Reason = "",
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Give a step that failed for good another attempt, or dispatch now one that waits for its retry."""
    _change(url, api_key, ["tasks", task_id, "steps", step, "retry"], {"reason": reason}, as_json=as_json)


@app.command(cls=Verb)
def resolve(
    task_id: TaskId,
    step: Annotated[
        str | None, typer.Argument(metavar="[STEP]", help="Name of the step; the task, unless given.")
    ] = None,
    *,
    result: Annotated[
        str | None, typer.Option(metavar="JSON", help="The result of the step; @FILE reads a file.")
    ] = None,
    reason: Reason = "",
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Declare a step done, with a result; or the whole task, whatever its steps say."""
    if step is None:
        if result is not None:
            raise typer.BadParameter("expected a STEP that the result is of; a task has none", param_hint="--result")
        _change(url, api_key, ["tasks", task_id, "resolve"], {"reason": reason}, as_json=as_json)
        return
    body = {"reason": reason, "result": None if result is None else json_option(result, "--result")}
    _change(url, api_key, ["tasks", task_id, "steps", step, "resolve"], body, as_json=as_json)


def _change(url: str, api_key: str | None, path: Iterable[object], body: dict[str, Any], *, as_json: bool) -> None:
    with Api(url, api_key) as api:
        receipt = api.post(path_of(*path), body)
        task = shown_by(api, path_of("tasks", receipt["task_id"]), receipt["position"])
    nothing = " (nothing changed)" if receipt["repeated"] else ""
    status = "" if task is None else f" {task['status']}"
    answer(receipt, f"{receipt['task_id']}{status}{nothing}", as_json=as_json)


def _described(task: dict[str, Any]) -> str:
    execution = task["execution"]
    ended = task["ended_at_ms"] or task["changed_at_ms"]
    return paired(
        [
            ("task", task["task_id"]),
            ("template", f"{task['namespace']}/{task['name']} {task['version']}"),
            ("status", task["status"]),
            ("progress", f"{execution['completion_percentage']:g} % of {execution['total_steps']:,} steps"),
            ("steps", ", ".join(_counts(execution))),
            ("execution", execution["execution_status"]),
            ("health", execution["health_status"]),
            ("recommended", execution["recommended_action"]),
            ("failed", ", ".join(task["failed_steps"])),
            ("because", ": ".join(part for part in (task["code"], task["reason"]) if part)),
            ("accepted", f"{date_and_clock(task['accepted_at_ms'])} from {task['actor']}"),
            ("ended", date_and_clock(task["ended_at_ms"])),
            ("took", lasting(ended - task["accepted_at_ms"])),
            ("deadline", date_and_clock(task["deadline_at_ms"])),
            ("context", orjson.dumps(task["context"]).decode()),
        ]
    )


def _counts(execution: dict[str, Any]) -> list[str]:
    kinds = ("ready", "in_progress", "completed", "failed", "pending", "cancelled")
    return [f"{execution[f'{kind}_steps']} {kind.replace('_', ' ')}" for kind in kinds if execution[f"{kind}_steps"]]
