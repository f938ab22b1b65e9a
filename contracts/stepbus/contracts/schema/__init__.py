"""Users' JSON Schemas (draft 2020-12): what a template may demand of contexts, results and errors, and its check.

A schema is code that strangers run here, so it is held to bounds when it is registered: nothing is ever fetched,
patterns run in time linear in the text (no look-around, no back-references), and what a `$ref` can multiply is counted
beforehand. Formats are asserted. Keywords that the standard does not know are left alone, as it demands.
"""

from stepbus.contracts.schema.compiled import CompiledSchema, compile_schema, reasons
from stepbus.contracts.schema.rules import MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, MAX_SUBSCHEMAS, schema_problems
from stepbus.contracts.schema.walk import Schema, subschemas, target

__all__ = [
    "MAX_SCHEMA_BYTES",
    "MAX_SCHEMA_DEPTH",
    "MAX_SUBSCHEMAS",
    "CompiledSchema",
    "Schema",
    "compile_schema",
    "reasons",
    "schema_problems",
    "subschemas",
    "target",
]
