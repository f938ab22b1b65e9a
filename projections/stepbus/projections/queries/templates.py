"""Templates: by name, by version."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from stepbus.contracts.template import semver_key
from stepbus.orchestrator.ports import ViewStore
from stepbus.projections.queries.ask import Row, ask, ask_one
from stepbus.projections.queries.paging import Conditions, Order, page

_NAMES = Order("name", ("namespace", "name"), (str, str))
_VERSION = """SELECT namespace, name, version, template_hash, position, description, total_steps, registered_at_ms,
    actor FROM view_templates"""


@dataclass(frozen=True, slots=True)
class Named:
    """A template with all its versions, the highest first."""

    namespace: str
    name: str
    versions: Sequence[Row]


async def list_templates(
    views: ViewStore, namespace: str | None, cursor: str | None, limit: int
) -> tuple[Sequence[Named], str | None]:
    """Give a page of templates, and the cursor for the next."""
    conditions = Conditions()
    conditions.equal(namespace=namespace)
    names = await page(views, "SELECT DISTINCT namespace, name FROM view_templates", conditions, _NAMES, cursor, limit)
    if not names.rows:
        return (), None
    first, last = names.rows[0], names.rows[-1]
    where = (
        "(namespace, name) >= (:first_namespace, :first_name) AND (namespace, name) <= (:last_namespace, :last_name)"
    )
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    versions = await ask(
        views,
        f"{_VERSION} WHERE {where}",
        first_namespace=first["namespace"],
        first_name=first["name"],
        last_namespace=last["namespace"],
        last_name=last["name"],
    )
    for version in versions:
        found[version["namespace"], version["name"]].append(version)
    keys = [(named["namespace"], named["name"]) for named in names.rows]
    return [Named(*key, _highest_first(found[key])) for key in keys], names.next_cursor


async def find_versions(views: ViewStore, namespace: str, name: str) -> Named | None:
    """Give a template with all its versions; None if there is none of that name."""
    sql = f"{_VERSION} WHERE namespace = :namespace AND name = :name"
    rows = await ask(views, sql, namespace=namespace, name=name)
    return Named(namespace, name, _highest_first(rows)) if rows else None


async def find_template(views: ViewStore, namespace: str, name: str, version: str) -> Row | None:
    """Give one version of a template with its document."""
    sql = "SELECT * FROM view_templates WHERE namespace = :namespace AND name = :name AND version = :version"
    return await ask_one(views, sql, namespace=namespace, name=name, version=version)


def _highest_first(versions: Sequence[Row]) -> Sequence[Row]:
    return sorted(versions, key=lambda version: semver_key(version["version"]), reverse=True)
