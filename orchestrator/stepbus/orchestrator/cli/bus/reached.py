"""The bus that a verb works on: one that runs, whoever started it."""

from typing import Annotated

import typer

from stepbus.contracts.problems import refuse
from stepbus.orchestrator.bootstrap.settings import Settings

BusUrl = Annotated[str | None, typer.Option("--bus", metavar="URL", help="The setting `bus`: where the broker is.")]
Prefix = Annotated[str | None, typer.Option("--prefix", metavar="PREFIX", help="The setting `prefix`.")]


def url_of(settings: Settings) -> str:
    """Give the URL of the bus.

    Raises:
        Refused: `settings.bus`, it is the one that `stepbus dev` starts for itself.
    """
    if settings.bus == "embedded":
        message = "expected the URL of a broker that runs, found embedded; give --bus URL, which `stepbus dev` tells"
        raise refuse("settings.bus", message, "/bus")
    return settings.bus
