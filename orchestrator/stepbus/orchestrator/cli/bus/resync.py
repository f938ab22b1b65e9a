"""`stepbus bus resync`."""

import asyncio
from dataclasses import asdict

import typer

from stepbus.orchestrator.bootstrap import opened_bus, opened_store
from stepbus.orchestrator.bootstrap.settings import Settings
from stepbus.orchestrator.cli.bus.reached import BusUrl, Prefix, url_of
from stepbus.orchestrator.cli.configured import Config, DataFolder, Set, Store, loaded
from stepbus.orchestrator.cli.verb import AsJson, Verb, answer
from stepbus.orchestrator.runtime.resync import Resynced, resync

app = typer.Typer(add_completion=False)


@app.command("resync", cls=Verb)
def _resync(
    *,
    bus: BusUrl = None,
    prefix: Prefix = None,
    store: Store = None,
    data: DataFolder = None,
    config: Config = None,
    assignments: Set = None,
    as_json: AsJson = False,
) -> None:
    """Send the jobs of all open attempts again, to a broker that came back empty.

    Nothing is decided and nothing is stored: each job goes out as it did before, under the id it had. Coordinators may
    run meanwhile, and where nothing was lost nothing is done twice: a second answer to an attempt changes nothing. The
    exit code is 1 if there is a job that the broker will never take.
    """
    settings = loaded(config, assignments, bus=bus, prefix=prefix, store=store, data=data).settings
    done = asyncio.run(_resynced(settings))
    answer(asdict(done), lambda: _text(done), as_json=as_json)
    if done.undeliverable:
        raise typer.Exit(1)


async def _resynced(settings: Settings) -> Resynced:
    url = url_of(settings)
    async with opened_store(settings) as store, opened_bus(settings, url) as bus:
        return await resync(store, bus, settings.partitions)


def _text(done: Resynced) -> str:
    lines = [f"sent {done.jobs:,} jobs of {done.tasks:,} tasks again, on {len(done.queues):,} queues"]
    lines += [f"can't be delivered: {message_id}: {reason}" for message_id, reason in done.undeliverable.items()]
    return "\n".join(lines)
