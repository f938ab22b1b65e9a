"""`stepbus contracts asyncapi`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from stepbus.contracts.channels import to_prefix
from stepbus.contracts.export import BusName, asyncapi_of
from stepbus.orchestrator.cli.contracts.agreed import Templates, agreed
from stepbus.orchestrator.cli.remote import ApiKey, Url
from stepbus.orchestrator.cli.verb import DEFAULT_URL, AsJson, Verb, answer

app = typer.Typer(add_completion=False)


@app.command(cls=Verb)
def asyncapi(  # noqa: PLR0913 - each is an option
    *,
    bus: Annotated[BusName, typer.Option("--bus", help="The bus in whose words channels are described.")] = "nats",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write; stdout if not given.")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="HOST:PORT", help="Where the bus is; its usual port here if not given."),
    ] = None,
    prefix: Annotated[str, typer.Option("--prefix", help="First word of every channel's name.")] = "stepbus",
    partitions: Annotated[
        int, typer.Option("--partitions", min=1, max=64, help="Into how many channels the answers are spread.")
    ] = 8,
    template: Templates = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Write one AsyncAPI 3 document: the channels of a bus, and the messages of all handlers on them.

    It is JSON in any case. With --json and --out: {"file": FILE, "channels": N, "messages": N}.
    """
    document = asyncapi_of(
        bus, *agreed(template, url, api_key), prefix=to_prefix(prefix), partitions=partitions, host=host
    )
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    out.write_text(text, "utf-8")
    channels, messages = len(document["channels"]), len(document["components"]["messages"])
    written = f"{channels} channels and {messages} messages are in {out}"
    answer({"file": str(out), "channels": channels, "messages": messages}, written, as_json=as_json)
