"""How a class is described: without titles that repeat the names, and with durations written as people write them."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from stepbus.contracts.template import format_duration
from stepbus.contracts.template.duration import PATTERN


class Generator(GenerateJsonSchema):
    """Makes JSON Schemas of the contracts' classes."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        if described.get("pattern") == PATTERN and isinstance(described.get("default"), int):
            described["default"] = format_duration(described["default"])
        return described
