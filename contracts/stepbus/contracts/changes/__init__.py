"""What changed between two versions of a contract: named, placed, and told apart by whether it breaks somebody."""

from stepbus.contracts.changes.catalogue import KEPT_BY_OPEN_TASKS, KINDS, Change, Direction, Effect
from stepbus.contracts.changes.documents import Document, direction_of, document_changes
from stepbus.contracts.changes.schemas import schema_changes
from stepbus.contracts.changes.templates import template_changes

__all__ = [
    "KEPT_BY_OPEN_TASKS",
    "KINDS",
    "Change",
    "Direction",
    "Document",
    "Effect",
    "direction_of",
    "document_changes",
    "schema_changes",
    "template_changes",
]
