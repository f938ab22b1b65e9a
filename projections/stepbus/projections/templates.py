"""The catalogue: every template that was ever registered."""

from stepbus.contracts import events as e
from stepbus.projections.projection import Batch, Fact, Projection, Table, by_event, inserting, json_text

_TABLE = Table(
    "view_templates",
    ("template_hash",),
    (
        """CREATE TABLE IF NOT EXISTS view_templates (
            template_hash TEXT NOT NULL PRIMARY KEY,
            position BIGINT NOT NULL,
            namespace TEXT NOT NULL,
            name TEXT NOT NULL,
            version TEXT NOT NULL,
            description TEXT NOT NULL,
            total_steps BIGINT NOT NULL,
            registered_at_ms BIGINT NOT NULL,
            actor TEXT NOT NULL,
            template TEXT NOT NULL
        )""",
        "CREATE UNIQUE INDEX IF NOT EXISTS view_templates_version ON view_templates (namespace, name, version)",
    ),
)

_REGISTER = inserting(
    "view_templates",
    "template_hash",
    "position",
    "namespace",
    "name",
    "version",
    "description",
    "total_steps",
    "registered_at_ms",
    "actor",
    "template",
)


def _registered(fact: Fact, event: e.TemplateRegistered, batch: Batch) -> None:
    batch.add(
        fact.stream,
        _REGISTER,
        {
            "template_hash": event.template_hash,
            "position": fact.position,
            "namespace": event.namespace,
            "name": event.name,
            "version": event.version,
            "description": event.template.get("description", ""),
            "total_steps": len(event.template["steps"]),
            "registered_at_ms": fact.meta.at_ms,
            "actor": fact.meta.actor,
            "template": json_text(event.template),
        },
    )


TEMPLATES = Projection("templates", frozenset({e.CATALOGUE}), (_TABLE,), by_event({e.TemplateRegistered: _registered}))
