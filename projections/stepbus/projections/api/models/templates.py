"""Templates: registered, listed, shown."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from stepbus.contracts.messages import TemplateName
from stepbus.projections.api.models.shape import Asked, Listing, Milliseconds, Shown, parsed


class TemplateList(Listing):
    """Which templates to list."""

    namespace: TemplateName | None = None


class Registration(Asked):
    """How to read the document: as it runs in this environment of its own, or in none.

    `force` registers it even if no announced worker serves one of its steps, or open tasks can't live with its changes.
    """

    environment: TemplateName | None = None
    force: bool = False


class TemplateReceipt(Shown):
    """The template can be run. `repeated` says that the same content was there before."""

    namespace: str
    name: str
    version: str
    template_hash: str
    position: int
    repeated: bool


class TemplateVersion(Shown):
    """One version of a template."""

    version: str
    template_hash: str
    description: str
    total_steps: int
    registered_at_ms: Milliseconds
    actor: str
    position: int


class TemplateSummary(Shown):
    """A template with its versions, the highest first: that one runs where a request names none."""

    namespace: str
    name: str
    latest_version: str
    versions: Annotated[tuple[TemplateVersion, ...], Field(min_length=1)]


class TemplatePage(Shown):
    """Some templates, by namespace and name."""

    templates: tuple[TemplateSummary, ...]
    next_cursor: str | None


class Template(TemplateVersion):
    """One version of a template. `template` is its canonical document."""

    namespace: str
    name: str
    template: dict[str, Any]


def version_of(row: Mapping[str, Any]) -> TemplateVersion:
    """Give a version from a row of the view."""
    return TemplateVersion(**{name: row[name] for name in TemplateVersion.model_fields})


def template_of(row: Mapping[str, Any]) -> Template:
    """Give a version with its document from a row of the view."""
    return Template(**{name: row[name] for name in Template.model_fields} | {"template": parsed(row["template"])})
