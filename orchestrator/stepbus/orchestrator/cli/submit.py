"""`stepbus submit`."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from stepbus.contracts.template.duration import parse_duration
from stepbus.orchestrator.cli.documents import json_option, json_value, read_bytes
from stepbus.orchestrator.cli.drawing.looks import TERMINAL
from stepbus.orchestrator.cli.failure import Failure
from stepbus.orchestrator.cli.remote import Api, ApiKey, Url, path_of, shown_by
from stepbus.orchestrator.cli.verb import DEFAULT_URL, AsJson, Verb, answer

app = typer.Typer(add_completion=False)

_LOOK_S = (0.02, 0.5)
"""The shortest and the longest time between two looks at a task that is waited for."""


@app.command(cls=Verb)
def submit(  # noqa: PLR0913 - one parameter an option
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a registered template.")],
    *,
    context: Annotated[str, typer.Option(metavar="JSON", help="What the task is about; @FILE reads a file.")] = "{}",
    context_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The context from a file; - is stdin.")
    ] = None,
    namespace: Annotated[str, typer.Option(metavar="NAMESPACE", help="Namespace of the template.")] = "default",
    version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="The highest registered, unless given.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Idempotency key: the same again is the same task.")
    ] = None,
    bypass: Annotated[list[str] | None, typer.Option(metavar="STEP", help="Leave this skippable step out.")] = None,
    deadline: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long the task may take: 30s, 5m, 2h.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the task has ended; exit code 1 unless complete.")
    ] = False,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long to wait; for ever unless given.")
    ] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Start a task of a registered template."""
    given = json_option(context, "--context") if context_file is None else _from_file(context_file)
    wanted = {
        "template": name,
        "namespace": namespace,
        "version": version,
        "context": given,
        "idempotency_key": key,
        "timeout_ms": _milliseconds(deadline, "--deadline"),
        "bypass_steps": bypass or [],
    }
    patience_ms = _milliseconds(timeout, "--timeout")
    with Api(url, api_key) as api:
        receipt = api.post("tasks", {name: value for name, value in wanted.items() if value is not None})
        shown_by(api, path_of("tasks", receipt["task_id"]), receipt["position"])
        ended = _ended(api, receipt["task_id"], patience_ms) if wait else None
    if ended is None:
        again = " (it was there before)" if receipt["repeated"] else ""
        answer(receipt, f"{receipt['task_id']}{again}", as_json=as_json)
        return
    answer(ended, f"{receipt['task_id']} {ended['status']}", as_json=as_json)
    if ended["status"] != "complete":
        raise typer.Exit(1)


def _ended(api: Api, task_id: str, patience_ms: int | None) -> dict[str, Any]:
    until = None if patience_ms is None else time.monotonic() + patience_ms / 1000
    pause, longest = _LOOK_S
    while True:
        task = api.get(path_of("tasks", task_id))
        if task["status"] in TERMINAL:
            return task
        if until is not None and time.monotonic() >= until:
            raise Failure(
                "wait.timeout", f"expected task {task_id} to end in time, but it is {task['status']}; it goes on"
            )
        time.sleep(pause)
        pause = min(pause * 1.5, longest)


def _from_file(file: Path) -> Any:
    return json_value(read_bytes(file, "--context-file"), "--context-file")


def _milliseconds(duration: str | None, hint: str) -> int | None:
    if duration is None:
        return None
    parsed = parse_duration(duration)
    if parsed is None:
        raise typer.BadParameter(
            f"expected a duration such as 250ms, 30s, 5m or 2h, found {duration!r}", param_hint=hint
        )
    return parsed
