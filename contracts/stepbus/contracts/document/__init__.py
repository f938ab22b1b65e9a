"""Strict readers of JSON and YAML text: the value, every problem, and the line that each part stands on.

Both give the same value for the same content: objects with text keys, each key once; numbers that every language can
hold; text without NUL or half characters; at most 64 levels. Nothing here calls itself, so no input is too deep for it.
"""

from stepbus.contracts.document.json_text import read_json
from stepbus.contracts.document.model import MAX_DEPTH, MAX_INTEGER, Document
from stepbus.contracts.document.yaml_text import read_yaml

__all__ = ["MAX_DEPTH", "MAX_INTEGER", "Document", "read_json", "read_yaml"]
