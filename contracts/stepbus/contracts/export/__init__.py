"""What a deployment agrees on with its clients and workers, in the words of the standards: JSON Schema, AsyncAPI."""

from stepbus.contracts.export.asyncapi import asyncapi_of
from stepbus.contracts.export.buses import BUSES, BusName
from stepbus.contracts.export.handlers import HandlerContract, handler_contracts
from stepbus.contracts.export.schemas import schema_files

__all__ = ["BUSES", "BusName", "HandlerContract", "asyncapi_of", "handler_contracts", "schema_files"]
