"""What contracts are made of: templates in files, or those that are registered and what workers have announced."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from stepbus.contracts.messages import ServedHandler
from stepbus.contracts.template import TaskTemplate, check
from stepbus.orchestrator.cli.documents import read_template
from stepbus.orchestrator.cli.remote import Api, path_of

Templates = Annotated[
    list[Path] | None,
    typer.Option("--template", metavar="FILE", help="Of this template, instead of those registered; may be repeated."),
]

_PAGE = 200


class Agreed(NamedTuple):
    """The templates, each in its highest version, and the handlers that workers serve."""

    templates: Sequence[TaskTemplate]
    served: Sequence[ServedHandler]


def agreed(files: Sequence[Path] | None, url: str, api_key: str | None) -> Agreed:
    """Give what the files hold; without files, what the API knows.

    Raises:
        Refused: a file holds no template.
        Failure: the API can't be asked.
    """
    if files:
        return Agreed([_in(file) for file in files], ())
    with Api(url, api_key) as api:
        workers = api.get("workers")["workers"]
        served = [ServedHandler.model_validate(each) for worker in workers for each in worker["handlers"]]
        return Agreed(list(_registered(api)), served)


def _in(file: Path) -> TaskTemplate:
    source = read_template(file)
    return check(source.text, source.format)


def _registered(api: Api) -> list[TaskTemplate]:
    found: list[TaskTemplate] = []
    cursor = None
    while True:
        page = api.get("templates", limit=_PAGE, cursor=cursor)
        for named in page["templates"]:
            path = path_of("templates", named["namespace"], named["name"], named["latest_version"])
            found.append(TaskTemplate.model_validate(api.get(path)["template"]))
        cursor = page["next_cursor"]
        if cursor is None:
            return found
