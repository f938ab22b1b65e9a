"""The answer to a job: what a handler returned or raised, in a form that every reader takes the same way.

A result that can't cross the border is a permanent failure with a code, so that the job is answered and never lost.
"""

import math
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import uuid4

from pydantic_core import PydanticSerializationError, to_json

from stepbus.contracts import codec
from stepbus.contracts.codec import MAX_MESSAGE_BYTES
from stepbus.contracts.messages import Answer, StepCompleted, StepError, StepFailed, StepHeartbeat
from stepbus.contracts.problems import Problem, Refused
from stepbus.orchestrator.ports import Outgoing
from stepbus.worker.errors import HandlerError, RetryableError
from stepbus.worker.job import Job

RESULT_INVALID = "worker.result_invalid"
RESULT_TOO_LARGE = "worker.result_too_large"
INPUT_INVALID = "worker.input_invalid"
TIMEOUT = "worker.timeout"
HANDLER_UNKNOWN = "worker.handler_unknown"
REDELIVERED = "worker.redelivered"

_MAX_TEXT = 4096
_MAX_CODE = 256
_MAX_RETRY_AFTER_S = 30 * 86_400
_MAX_DETAILS_BYTES = 64 * 1024
_MAX_PROBLEMS = 20
_RUN = uuid4().hex  # of this process: with a number behind it, an id that no other message has
_NUMBERS = count(1)

Ending = StepCompleted | StepFailed


def completed(job: Job, worker: str, result: Any) -> Ending:
    """Give the answer that a handler's return value makes: pydantic models, dataclasses, dates, … become JSON."""
    try:
        value = _portable("result", result)
    except Refused as refused:
        is_large = refused.problems[0].code == "json.too_large"
        code = RESULT_TOO_LARGE if is_large else RESULT_INVALID
        return failed(job, worker, _refusal(code, refused))
    return StepCompleted.model_construct(**_echo(job, worker), result=value)


def failed(job: Job, worker: str, error: StepError) -> StepFailed:
    return StepFailed(**_echo(job, worker), error=error)


def heartbeat(job: Job, worker: str, progress: Any) -> StepHeartbeat:
    """Give a heartbeat.

    Raises:
        Refused: the progress can't be sent.
    """
    return StepHeartbeat(**_echo(job, worker), progress=_portable("progress", progress))


def error_of(raised: BaseException, permanent: tuple[type[Exception], ...] = ()) -> StepError:
    """Give what an exception says: of one that is not ours its class name, whether it is `permanent`, and its text."""
    if not isinstance(raised, HandlerError):
        return StepError(
            code=type(raised).__name__[:_MAX_CODE],
            message=_text(str(raised)),
            retryable=not isinstance(raised, permanent),
        )
    try:
        details = _portable("details", raised.details, _MAX_DETAILS_BYTES)
    except Refused as refused:
        details = {"left_out": str(refused)[:_MAX_TEXT]}
    return StepError(
        code=_text(raised.code, _MAX_CODE) or type(raised).__name__,
        message=_text(raised.message),
        retryable=isinstance(raised, RetryableError),
        retry_after=_retry_after(raised),
        details=details,
    )


def input_invalid(refused: Refused) -> StepError:
    return _refusal(INPUT_INVALID, refused)


def outgoing(job: Job, source: str, message: Answer) -> Outgoing:
    """Give the message to be sent. Its id is new: a second run of the same attempt makes a message of its own.

    What the envelope makes too large is said without the part that is large.
    """
    message_id = f"{_RUN}.{next(_NUMBERS)}"
    data = message.model_dump(mode="json")
    event = {
        "specversion": "1.0",
        "id": message_id,
        "source": source,
        "type": message.TYPE,
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        "dataschema": message.dataschema(),
        "partitionkey": data["task_id"],
        "causationid": job.envelope.id,
        "tenant": job.envelope.tenant,
        "data": data,
    }
    if job.envelope.correlationid is not None:
        event["correlationid"] = job.envelope.correlationid
    if job.envelope.traceparent is not None:
        event["traceparent"] = job.envelope.traceparent
    body = codec.encode(event)
    if len(body) > MAX_MESSAGE_BYTES:
        return outgoing(job, source, _smaller(job, message, len(body)))
    return Outgoing(job.answers, message_id, body, data["task_id"])


def _smaller(job: Job, message: Answer, size: int) -> Answer:
    if isinstance(message, StepHeartbeat):
        return message.model_copy(update={"progress": None})
    text = f"expected an answer of at most {MAX_MESSAGE_BYTES} bytes, found {size}"
    return failed(job, message.worker, StepError(code=RESULT_TOO_LARGE, message=text, retryable=False))


def _echo(job: Job, worker: str) -> dict[str, Any]:
    request = job.request
    return {
        "task_id": request.task_id,
        "step": request.step,
        "attempt": request.attempt,
        "token": request.token,
        "worker": worker,
    }


def _portable(name: str, value: Any, limit: int = MAX_MESSAGE_BYTES) -> Any:
    """Give the plain JSON value that a Python value stands for, as strict as the reader of the message is."""
    if value is None:
        return None
    try:
        body = to_json({"data": {name: value}}, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        problem = Problem(code="json.type", message=f"expected a JSON value, but {error}", pointer=f"/{name}")
        raise Refused((problem,)) from error
    try:
        return codec.decode(body, limit)["data"][name]
    except Refused as refused:
        raise Refused(
            problem.model_copy(update={"pointer": problem.pointer.removeprefix("/data"), "line": None})
            for problem in refused.problems
        ) from refused


def _refusal(code: str, refused: Refused) -> StepError:
    problems = [
        {
            "code": problem.code,
            "pointer": _text(problem.pointer, _MAX_CODE),
            "message": _text(problem.message, _MAX_CODE),
        }
        for problem in refused.problems[:_MAX_PROBLEMS]
    ]
    return StepError(code=code, message=_text(str(refused)), retryable=False, details={"problems": problems})


def _retry_after(raised: HandlerError) -> float | None:
    seconds = raised.retry_after_s if isinstance(raised, RetryableError) else None
    if seconds is None or math.isnan(seconds):
        return None
    return min(max(0.0, seconds), _MAX_RETRY_AFTER_S)


def _text(text: str, length: int = _MAX_TEXT) -> str:
    """Give text that JSON readers agree on: no lone surrogates, no NUL, not too long."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")[:length]
