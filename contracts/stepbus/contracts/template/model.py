"""The task template, as it runs, and the document that people write it in.

Both hold the same fields; what the document leaves out (handlers, queues, defaults, environments) is filled in by
`resolve`. A template's canonical form is itself a document that gives the same template.
"""

import hashlib
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from stepbus.contracts import codec
from stepbus.contracts.messages import HandlerName, JsonSchema, StepName, TemplateName
from stepbus.contracts.template.duration import Duration, Timeout
from stepbus.contracts.template.version import Version

MAX_EDGES = 50_000
MAX_ATTEMPTS = 100
MAX_ENVIRONMENTS = 32
MAX_DESCRIPTION = 4096
DEFAULT_FIRST_DELAY_MS = 1_000
DEFAULT_LONGEST_DELAY_MS = 30_000

Description = Annotated[str, Field(max_length=MAX_DESCRIPTION)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RetryPolicy(_Part):
    """When a failed attempt is followed by another.

    Shape: `max_attempts` counts the first one. The delay before attempt n + 1 is `initial` times 1, n or `factor` to
    the power n - 1, at most `max`; `jitter` is the share of it that may be added or taken away.
    """

    max_attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)] = 3
    backoff: Literal["fixed", "linear", "exponential"] = "exponential"
    initial: Duration = DEFAULT_FIRST_DELAY_MS
    factor: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)] = 2.0
    max: Duration = DEFAULT_LONGEST_DELAY_MS
    jitter: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.1


class StepDocument(_Part):
    """A step as it is written.

    Shape: `handler` is `<namespace>.<name>` unless it is said, and `queue` is the handler; `timeout` is that of one
    attempt; only a `skippable` step may be left out by a request; `input_schema` is what the handler needs of its
    inputs, `{"context", "results"}`, and is held against what the template and the step's dependencies declare.
    """

    name: StepName
    description: Description = ""
    handler: HandlerName = Field(default_factory=str)
    queue: HandlerName = Field(default_factory=str)
    depends_on: Annotated[tuple[str, ...], Field(strict=False)] = ()
    retry: RetryPolicy = RetryPolicy()
    timeout: Timeout = 300_000
    skippable: bool = False
    input_schema: JsonSchema = None
    result_schema: JsonSchema = None
    error_schema: JsonSchema = None


class StepTemplate(StepDocument):
    """A step, with all that it runs by."""

    handler: HandlerName
    queue: HandlerName


class _TaskFields(_Part):
    name: TemplateName
    namespace: TemplateName = "default"
    version: Version
    description: Description = ""
    context_schema: JsonSchema = None
    timeout: Timeout | None = None


class TaskTemplate(_TaskFields):
    """What is to run: checked, complete, and immutable."""

    steps: Annotated[tuple[StepTemplate, ...], Field(strict=False)]

    def canonical(self) -> dict[str, Any]:
        """Give the document that says everything about this template: what is hashed, stored and shown."""
        return self.model_dump(mode="json", exclude_none=True)

    @cached_property
    def hash(self) -> str:
        """The SHA-256, in hex, of the canonical bytes."""
        return hashlib.sha256(codec.canonical(self.canonical())).hexdigest()


class Defaults(_Part):
    """What steps that do not say otherwise are run by. A step's `retry` is laid over this one, key by key."""

    retry: RetryPolicy = RetryPolicy()
    timeout: Timeout = 300_000


class Environment(_Part):
    """What is different in one environment. Steps are found by name; each key that is written replaces the base's."""

    context_schema: JsonSchema = None
    defaults: Defaults = Defaults()
    timeout: Timeout | None = None
    steps: Annotated[tuple[StepDocument, ...], Field(strict=False)] = ()


class TaskDocument(_TaskFields):
    """A task template as it is written, in YAML or JSON."""

    VERSION: ClassVar[int] = 2

    defaults: Defaults = Defaults()
    steps: Annotated[tuple[StepDocument, ...], Field(strict=False)]
    environments: dict[TemplateName, Environment] = Field({}, json_schema_extra={"additionalProperties": False})
