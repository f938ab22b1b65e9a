"""The settings of the verbs that start a process or open the store, and the options that change them."""

from pathlib import Path
from typing import Annotated

import typer

from stepbus.orchestrator.bootstrap.settings import LoadedSettings, load_settings

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Settings as TOML; else STEPBUS_CONFIG, else stepbus.toml if it is there."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting, stronger than file and environment. Can be repeated."),
]
DataFolder = Annotated[Path | None, typer.Option("--data", metavar="FOLDER", help="The setting `data`.")]
Store = Annotated[str | None, typer.Option("--store", metavar="URL", help="The setting `store`: where the log is.")]


def loaded(config: Path | None, assignments: list[str] | None, **named: object) -> LoadedSettings:
    """Give the settings, with these on top: `NAME=VALUE` assignments, and named ones that are not None.

    Raises:
        Refused: a setting is unknown or unfit.
        typer.BadParameter: an assignment has no `=`.
    """
    given = {name: value for name, value in named.items() if value is not None}
    return load_settings(config, assigned(assignments) | given)


def assigned(assignments: list[str] | None) -> dict[str, object]:
    """Give the settings of `NAME=VALUE` assignments.

    Raises:
        typer.BadParameter: an assignment has no `=`.
    """
    values: dict[str, object] = {}
    for assignment in assignments or ():
        name, equals, value = assignment.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected NAME=VALUE, found {assignment!r}", param_hint="--set")
        values[name] = value
    return values
