"""`stepbus quarantine`: list, show, resubmit."""

from base64 import b64decode
from typing import Annotated, Any
from uuid import UUID

import typer

from stepbus.contracts.problems import Problem
from stepbus.orchestrator.cli.failure import line_of
from stepbus.orchestrator.cli.moments import date_and_clock
from stepbus.orchestrator.cli.pages import Limit, all_of
from stepbus.orchestrator.cli.remote import Api, ApiKey, Url, path_of, shown_by
from stepbus.orchestrator.cli.verb import DEFAULT_URL, AsJson, Verb, answer, paired, table

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="List, show and resubmit messages that could not be applied."
)

MessageId = Annotated[UUID, typer.Argument(metavar="ID", help="Id of the message in quarantine.")]


@app.command("list", cls=Verb)
def list_messages(
    *,
    state: Annotated[str | None, typer.Option(metavar="STATE", help="quarantined or resubmitted.")] = None,
    code: Annotated[str | None, typer.Option(metavar="CODE", help="Quarantined for this reason only.")] = None,
    limit: Limit = 50,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List the messages that could not be applied, the newest first, each with its reason."""
    with Api(url, api_key) as api:
        found = all_of(api, "quarantine", "messages", limit, state=state, code=code)
    rows = (
        (
            message["message_id"],
            message["state"],
            message["channel"],
            message["code"],
            message["pointer"],
            date_and_clock(message["quarantined_at_ms"]),
        )
        for message in found["messages"]
    )
    answer(found, lambda: table(("message", "state", "channel", "code", "pointer", "since"), rows), as_json=as_json)


@app.command(cls=Verb)
def show(message_id: MessageId, *, url: Url = DEFAULT_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show a message whole, with everything that is wrong with it."""
    with Api(url, api_key) as api:
        message = api.get(path_of("quarantine", message_id))
    answer(message, lambda: _described(message), as_json=as_json)


@app.command(cls=Verb)
def resubmit(message_id: MessageId, *, url: Url = DEFAULT_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Send a message through again, once what was wrong has been mended."""
    with Api(url, api_key) as api:
        done = api.post(path_of("quarantine", message_id, "resubmit"))
        shown_by(api, path_of("quarantine", message_id), done["position"])
    answer(done, f"{done['message_id']} went through, to {done['applied_to']}", as_json=as_json)


def _described(message: dict[str, Any]) -> str:
    resubmitted = message["resubmitted_at_ms"]
    head = paired(
        [
            ("message", message["message_id"]),
            ("state", message["state"]),
            ("channel", message["channel"]),
            ("since", date_and_clock(message["quarantined_at_ms"])),
            ("resubmitted", f"{date_and_clock(resubmitted)} by {message['resubmitted_by']}" if resubmitted else None),
            *sorted(message["headers"].items()),
        ]
    )
    problems = "\n".join(line_of(Problem.model_validate(problem)) for problem in message["problems"])
    return f"{head}\n\n{problems}\n\n{b64decode(message['body']).decode(errors='replace')}"
