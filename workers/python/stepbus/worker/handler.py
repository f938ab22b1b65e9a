"""A handler: the function that does the work, and what each of its parameters receives.

| parameter | receives |
|---|---|
| annotated `Context` (or named `context`, without annotation) | the attempt |
| annotated `Inputs` | the task's context and all results, as they came |
| annotated `Annotated[T, ResultOf("step-name")]` | the result of that step |
| the first other one | the task's context |
| each further one | the result of the step of the parameter's name |

What the task's context or a result is annotated with, pydantic validates it as: a model, a dataclass, a TypedDict,
`dict`, `int`, … Without an annotation it is given as it came. A parameter with a default may find its step's result
missing (the step was left out); one without may not.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from stepbus.contracts import channels
from stepbus.contracts.messages import Inputs
from stepbus.contracts.problems import Problem, Refused, escape_pointer
from stepbus.contracts.validation import problems_of
from stepbus.worker.context import Context

_EMPTY = inspect.Parameter.empty
_CODE = "worker.input"


@dataclass(frozen=True, slots=True)
class ResultOf:
    """Marks a parameter that receives the result of a step whose name can't be, or is not, the parameter's."""

    step: str


class _Receives(Enum):
    ATTEMPT = "attempt"
    INPUTS = "inputs"
    CONTEXT = "context"
    RESULT = "result"


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    receives: _Receives
    adapter: TypeAdapter[Any] | None
    default: Any
    step: str
    is_keyword: bool

    def value(self, inputs: Inputs, context: Context) -> Any:
        if self.receives is _Receives.ATTEMPT:
            return context
        if self.receives is _Receives.INPUTS:
            return inputs
        if self.receives is _Receives.CONTEXT:
            return self._validated(inputs.context, "/context")
        pointer = f"/results/{escape_pointer(self.step)}"
        if self.step in inputs.results:
            return self._validated(inputs.results[self.step], pointer)
        if self.default is not _EMPTY:
            return self.default
        raise Refused((Problem(code=f"{_CODE}.missing", message=f"expected a result of {self.step}", pointer=pointer),))

    def _validated(self, value: Any, pointer: str) -> Any:
        if self.adapter is None:
            return value
        try:
            return self.adapter.validate_python(value)
        except ValidationError as error:
            raise Refused(problems_of(error, _CODE, pointer)) from error


class Handler:
    """A function under the name that task templates know it by."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        queue: str | None = None,
        permanent: tuple[type[Exception], ...] = (),
    ) -> None:
        self.name = name
        self.queue = queue or name
        self.function = function
        self.permanent = permanent
        self.is_async = inspect.iscoroutinefunction(_called(function))
        channels.to_send(f"jobs.{name}")
        channels.to_send(f"jobs.{self.queue}")
        self._parameters = tuple(_parameters(function))

    def arguments(self, inputs: Inputs, context: Context) -> tuple[list[Any], dict[str, Any]]:
        """Give what the function is to be called with.

        Raises:
            Refused: the inputs don't fit the function's annotations; all problems, with pointers into the inputs.
        """
        positional: list[Any] = []
        named: dict[str, Any] = {}
        problems: list[Problem] = []
        for parameter in self._parameters:
            try:
                value = parameter.value(inputs, context)
            except Refused as refused:
                problems += refused.problems
                continue
            if parameter.is_keyword:
                named[parameter.name] = value
            else:
                positional.append(value)
        if problems:
            raise Refused(problems)
        return positional, named


def _parameters(function: Callable[..., Any]) -> Iterator[_Parameter]:
    annotations = get_type_hints(_called(function), include_extras=True)
    has_context = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise TypeError(f"expected a handler without *args and **kwargs, found {parameter} in {function!r}")
        annotation = annotations.get(parameter.name, _EMPTY)
        receives, step = _reception(parameter.name, annotation, has_context=has_context)
        has_context = has_context or receives is _Receives.CONTEXT
        is_plain = annotation is _EMPTY or receives in {_Receives.ATTEMPT, _Receives.INPUTS}
        yield _Parameter(
            name=parameter.name,
            receives=receives,
            adapter=None if is_plain else TypeAdapter(annotation),
            default=parameter.default,
            step=step,
            is_keyword=parameter.kind is parameter.KEYWORD_ONLY,
        )


def _reception(name: str, annotation: Any, *, has_context: bool) -> tuple[_Receives, str]:
    if annotation is Context or (annotation is _EMPTY and name == "context"):
        return _Receives.ATTEMPT, ""
    if annotation is Inputs:
        return _Receives.INPUTS, ""
    for mark in get_args(annotation)[1:]:
        if isinstance(mark, ResultOf):
            return _Receives.RESULT, mark.step
    return (_Receives.RESULT, name) if has_context else (_Receives.CONTEXT, "")


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the function that a call of this object runs, for its annotations and its kind."""
    unwrapped = inspect.unwrap(function)
    while hasattr(unwrapped, "func"):  # functools.partial
        unwrapped = unwrapped.func
    if inspect.isroutine(unwrapped):
        return unwrapped
    call: Callable[..., Any] = type(unwrapped).__call__
    return call


Handlers = Mapping[str, Handler]
