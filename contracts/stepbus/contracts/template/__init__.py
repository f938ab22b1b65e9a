"""The task template: what it may say (`check`), and what it says (`TaskTemplate`)."""

from stepbus.contracts.messages import MAX_STEPS
from stepbus.contracts.template.check import MAX_DOCUMENT_BYTES, check, from_mapping
from stepbus.contracts.template.duration import format_duration, parse_duration
from stepbus.contracts.template.edges import Findings, add_findings, edge_findings, inputs_schema
from stepbus.contracts.template.model import (
    MAX_ATTEMPTS,
    MAX_EDGES,
    RetryPolicy,
    StepTemplate,
    TaskDocument,
    TaskTemplate,
)
from stepbus.contracts.template.version import semver_key

__all__ = [
    "MAX_ATTEMPTS",
    "MAX_DOCUMENT_BYTES",
    "MAX_EDGES",
    "MAX_STEPS",
    "Findings",
    "RetryPolicy",
    "StepTemplate",
    "TaskDocument",
    "TaskTemplate",
    "add_findings",
    "check",
    "edge_findings",
    "format_duration",
    "from_mapping",
    "inputs_schema",
    "parse_duration",
    "semver_key",
]
