"""A registered template, by its name."""

from typing import Annotated, Any

import typer

from stepbus.orchestrator.cli.remote import Api, path_of

Namespace = Annotated[str, typer.Option("--namespace", metavar="NAMESPACE", help="Namespace of the template.")]
Version = Annotated[str | None, typer.Option("--version", metavar="VERSION", help="The highest, unless given.")]


def registered(api: Api, namespace: str, name: str, version: str | None) -> dict[str, Any]:
    """Give one version of a template, the highest unless one is given.

    Raises:
        Failure: there is none.
    """
    if version is None:
        version = api.get(path_of("templates", namespace, name))["latest_version"]
    return api.get(path_of("templates", namespace, name, version))
