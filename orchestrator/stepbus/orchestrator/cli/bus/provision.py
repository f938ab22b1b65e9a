"""`stepbus bus provision`."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from stepbus.contracts import channels
from stepbus.orchestrator.bootstrap import opened_bus, opened_store
from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.cli.bus.reached import BusUrl, Prefix, url_of
from stepbus.orchestrator.cli.configured import Config, DataFolder, Set, Store, loaded
from stepbus.orchestrator.cli.verb import AsJson, Verb, answer, table
from stepbus.orchestrator.runtime.catalogue import Catalogue

app = typer.Typer(add_completion=False)


@app.command("provision", cls=Verb)
def _provision(
    *,
    queue: Annotated[
        list[str] | None,
        typer.Option(metavar="QUEUE", help="A job queue beside those of the registered templates. Can be repeated."),
    ] = None,
    bus: BusUrl = None,
    prefix: Prefix = None,
    store: Store = None,
    data: DataFolder = None,
    config: Config = None,
    assignments: Set = None,
    as_json: AsJson = False,
) -> None:
    """Create what the channels and job queues need, and show what there is, in the broker's words.

    The queues are those of the registered templates, and those given. What is there already is not changed; if it is of
    another make, both are shown and the exit code is 1.
    """
    settings = loaded(config, assignments, bus=bus, prefix=prefix, store=store, data=data).settings
    addresses = asyncio.run(_provisioned(settings, queue or ()))
    document = {"prefix": settings.prefix, "channels": addresses}
    answer(document, lambda: table(("channel", "on the broker"), addresses.items()), as_json=as_json)


async def _provisioned(settings: Settings, more: Sequence[str]) -> Mapping[str, str]:
    url = url_of(settings)
    for queue in more:
        channels.to_send(f"jobs.{queue}")
    async with opened_store(settings) as store:
        catalogue = Catalogue(store)
        await catalogue.refresh()
    queues = sorted({*catalogue.queues, *more})
    async with opened_bus(settings, url) as bus:
        await bus.provision(queues)
        results = [f"results.{number}" for number in range(settings.partitions)]
        names = ["tasks", *(f"jobs.{queue}" for queue in queues), *results, "events", "quarantine"]
        return {name: bus.address(name) for name in names}
