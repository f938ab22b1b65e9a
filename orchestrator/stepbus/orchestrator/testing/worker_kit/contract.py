"""What a handler promises, so that the kit can try it: scenarios, each with its inputs and the answer expected.

A contract is YAML or JSON. `probe.yaml`, beside this module, is the one of the probe handler, and an example.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.resources import files
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stepbus.contracts.document import Document, read_json, read_yaml
from stepbus.contracts.problems import Problem, Refused, refuse
from stepbus.contracts.schema import CompiledSchema, compile_schema
from stepbus.contracts.validation import problems_of

Format = Literal["yaml", "json"]

_MAX_BYTES: Final = 1024 * 1024
_READERS: Final = {"yaml": read_yaml, "json": read_json}
_NAME: Final = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"

Name = Annotated[str, Field(pattern=_NAME, max_length=128)]
Seconds = Annotated[float, Field(ge=0.001, le=3600)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExpectedError(_Part):
    """What the error of an answer must say; what is not given may be anything. `code` is one, or several to choose."""

    code: str | tuple[str, ...] | None = None
    message: str | None = None
    retryable: bool | None = None
    retry_after: float | None = None


class Scenario(_Part):
    """One job and the answer expected.

    Shape: `context` and `results` are the job's inputs. In them and in `result`, the text `${value}` stands for any
    JSON value that a rule sends, `${seconds}` for `takes_s`. Without `result` and `error`, any result that the schema
    takes is right. `takes_s` is how long the handler works, `timeout_s` how long the attempt may go without heartbeats.
    """

    context: dict[str, Any] = {}
    results: dict[str, Any] = {}
    result: Any = None
    error: ExpectedError | None = None
    takes_s: Seconds | None = None
    timeout_s: Seconds = 30.0

    @property
    def is_failure(self) -> bool:
        return self.error is not None

    @property
    def is_exact(self) -> bool:
        """Say whether the result is given, be it null."""
        return "result" in self.model_fields_set

    @property
    def carries_values(self) -> bool:
        """Say whether any JSON value can be sent through this scenario and comes back."""
        return _holds(self.result, "${value}") and _holds([self.context, self.results], "${value}")

    def filled(self, part: Any, value: Any) -> Any:
        """Give a part of the scenario with what stands for others replaced."""
        return _filled(part, {"${value}": value, "${seconds}": self.takes_s})

    @model_validator(mode="after")
    def _has_one_ending(self) -> Self:
        if self.is_failure and self.is_exact:
            raise ValueError("expected a result or an error, found both")
        return self


class Ordinary(Scenario):
    """A scenario that succeeds."""

    error: None = None


class Working(Ordinary):
    """A scenario that takes its time."""

    takes_s: Seconds


class Failing(Scenario):
    """A scenario that fails."""

    error: ExpectedError


class Scenarios(_Part):
    """What can be tried. Only `echo`, an ordinary job that succeeds, must be there."""

    echo: Ordinary
    sleep: Working | None = None
    silence: Working | None = None
    retryable: Failing | None = None
    permanent: Failing | None = None
    retry_after: Failing | None = None
    refused: Failing | None = None
    large_result: Failing | None = None
    effect: Ordinary | None = None


SCENARIOS: Final = tuple(Scenarios.model_fields)


class Contract(_Part):
    """A handler, the queue of its jobs, and what is expected of its answers."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    handler: Name
    queue: Name | None = None
    result_schema: dict[str, Any] | bool = True
    error_schema: dict[str, Any] | bool = True
    scenarios: Scenarios

    @property
    def jobs(self) -> str:
        """Give the channel of the jobs."""
        return f"jobs.{self.queue or self.handler}"

    @cached_property
    def results(self) -> CompiledSchema:
        return compile_schema(self.result_schema)

    @cached_property
    def errors(self) -> CompiledSchema:
        return compile_schema(self.error_schema)

    def scenario(self, name: str) -> Scenario | None:
        """Give a scenario by its name; None if the contract does not offer it."""
        found: Scenario | None = getattr(self.scenarios, name)
        return found

    def with_handler(self, handler: str) -> "Contract":
        """Give the same for a handler of another name, whose jobs are on the queue of that name unless one was given.

        Raises:
            Refused: it is no name of a handler.
        """
        return _validated({**self.model_dump(exclude_unset=True), "handler": handler})


def probe_contract() -> Contract:
    """Give the contract of the probe handler."""
    return read_contract(files(__package__).joinpath("probe.yaml").read_bytes(), "yaml")


def read_contract(text: bytes, format: Format) -> Contract:  # noqa: A002 - as of templates
    """Give the contract that a text holds.

    Raises:
        Refused: with every problem, its pointer and its line; `contract.missing`, `contract.unknown_key`,
            `contract.invalid`, or the codes of YAML, JSON and schemas.
    """
    if len(text) > _MAX_BYTES:
        raise refuse("contract.too_large", f"expected at most {_MAX_BYTES} bytes, found {len(text)}")
    try:
        document = _READERS[format](text.decode())
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        message = f"expected UTF-8, found byte 0x{text[error.start]:02x} at byte {error.start}"
        raise refuse(f"{format}.encoding", message, line=line) from error
    if document.problems:
        raise Refused(document.problems)
    try:
        return _validated(document.value)
    except Refused as refused:
        raise Refused(_with_lines(refused.problems, document)) from refused


def _validated(value: Any) -> Contract:
    try:
        contract = Contract.model_validate(value)
    except ValidationError as error:
        raise Refused(problems_of(error, "contract")) from error
    problems = list(_schema_problems(contract))
    if problems:
        raise Refused(problems)
    return contract


def _schema_problems(contract: Contract) -> Iterator[Problem]:
    for name in ("result_schema", "error_schema"):
        try:
            compile_schema(getattr(contract, name))
        except Refused as refused:
            yield from (problem.under(f"/{name}") for problem in refused.problems)


def _with_lines(problems: tuple[Problem, ...], document: Document) -> Iterator[Problem]:
    for problem in problems:
        yield problem.model_copy(update={"line": document.line_of(problem.pointer)})


def _filled(part: Any, fillings: Mapping[str, Any]) -> Any:
    if isinstance(part, str):
        return fillings.get(part, part)
    if isinstance(part, Mapping):
        return {key: _filled(member, fillings) for key, member in part.items()}
    if isinstance(part, list | tuple):
        return [_filled(member, fillings) for member in part]
    return part


def _holds(part: Any, text: str) -> bool:
    if isinstance(part, Mapping):
        return any(_holds(member, text) for member in part.values())
    if isinstance(part, list | tuple):
        return any(_holds(member, text) for member in part)
    return bool(part == text)
