"""Whether a document has the shape of a template: its keys, and the kind and bounds of each value."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from stepbus.contracts.problems import Problem
from stepbus.contracts.template.duration import AS_WRITTEN, format_duration
from stepbus.contracts.template.model import Defaults, Environment, RetryPolicy, StepDocument, TaskDocument
from stepbus.contracts.template.suggest import Suggestions
from stepbus.contracts.validation import KEY_ITSELF, found, message_of, problems_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# The code of an error is given by the key that the value stands under; other codes are `template.type` and the like.
_CODES: Final = {
    "name": "template.name",
    "namespace": "template.name",
    "environments": "template.name",
    "version": "template.version",
    "handler": "template.handler",
    "queue": "template.handler",
    "max_attempts": "template.attempts",
    "backoff": "template.retry",
    "factor": "template.retry",
    "jitter": "template.retry",
    "initial": "template.duration",
    "max": "template.duration",
    "timeout": "template.duration",
}
_KINDS: Final = {
    "missing": "template.missing_key",
    "extra_forbidden": "template.unknown_key",
    "string_too_long": "template.too_long",
    "schema.invalid": "template.type",
}
_BOUNDS: Final = frozenset({"string_pattern_mismatch", "greater_than_equal", "less_than_equal", "literal_error"})
_LIMITS: Final = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le")}
_TEMPLATE_NAME: Final = "1 to 64 of A-Z a-z 0-9 _ -, the first a letter or digit"
_STEP_NAME: Final = "1 to 128 of A-Z a-z 0-9 _ . @ + : -, the first a letter or digit"
_HANDLER: Final = "parts of A-Z a-z 0-9 _ - joined by dots, as in orders.validate_cart"
_VERSION: Final = "a semantic version such as 1.2.0"
_WORDS: Final = {
    "namespace": _TEMPLATE_NAME,
    "environments": _TEMPLATE_NAME,
    "version": _VERSION,
    "handler": _HANDLER,
    "queue": _HANDLER,
}
_MODELS: Final[dict[str, type[BaseModel]]] = {"retry": RetryPolicy, "defaults": Defaults, "steps": StepDocument}


def shape_problems(document: Any, suggestions: Suggestions) -> Iterator[Problem]:
    """Give everything about the document that is not as the template's fields demand."""
    try:
        TaskDocument.model_validate(document, context=AS_WRITTEN)
    except ValidationError as error:
        yield from problems_of(error, "template", describe=lambda detail: _describe(detail, suggestions), limit=None)


def _describe(detail: "ErrorDetails", suggestions: Suggestions) -> tuple[str, str]:
    kind = detail["type"]
    keys = [token for token in detail["loc"] if isinstance(token, str)]
    key = "environments" if keys[-1:] == [KEY_ITSELF] else keys[-1] if keys else ""
    if "." in kind:
        return _KINDS.get(kind, kind), message_of(detail)
    if kind == "extra_forbidden":
        known = _model_at(keys[:-1]).model_fields
        return _KINDS[kind], f"expected a known key, found {keys[-1]!r}{suggestions.nearest(keys[-1], known)}"
    if kind == "string_pattern_mismatch":
        expected = _WORDS.get(key) or (_STEP_NAME if "steps" in keys else _TEMPLATE_NAME)
        return _CODES[key], f"expected {expected}, found {found(detail['input'])}"
    if kind == "string_type" and isinstance(detail["input"], int | float):
        wanted = _VERSION if key == "version" else "a text"
        code = _CODES[key] if key == "version" else "template.type"
        return code, f"expected {wanted}, found {found(detail['input'])}: put it in quotes"
    if kind in _LIMITS and _CODES[key] == "template.duration":
        bound, limit = _LIMITS[kind]
        wanted = f"{bound} {format_duration(detail['ctx'][limit])}"
        return _CODES[key], f"expected {wanted}, found {found(detail['input'])}"
    code = _CODES[key] if kind in _BOUNDS else _KINDS.get(kind, "template.type")
    return code, message_of(detail)


def _model_at(keys: list[str]) -> type[BaseModel]:
    """Give the model that an object of the document must fit, by the keys that lead to it."""
    if not keys:
        return TaskDocument
    return _MODELS.get(keys[-1], Environment)
