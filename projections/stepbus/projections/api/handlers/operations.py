"""What changes something: the operations of the orchestrator. What is answered is in the log."""

from http import HTTPStatus
from uuid import uuid4

from stepbus.contracts.messages import TaskRequested
from stepbus.orchestrator.ports import Denied, Done
from stepbus.projections.api.endpoint import CLIENT, OPERATOR, POSITION_HEADER, Answer, Api, Call
from stepbus.projections.api.models.messages import Resubmission
from stepbus.projections.api.models.steps import Resolution
from stepbus.projections.api.models.tasks import Receipt
from stepbus.projections.api.refusals import denied, refusal

_MOST_KEY = 256


async def submit_task(call: Call) -> Answer:
    """Accept a task."""
    request: TaskRequested = _with_key(call.body, call.headers.get("idempotency-key"))
    done = await call.api.operations.submit(request, f"http:{uuid4()}", CLIENT)
    if isinstance(done, Denied):
        raise denied(done, missing_as=HTTPStatus.UNPROCESSABLE_ENTITY)
    position = await position_of(call.api, done)
    return Answer(
        Receipt(task_id=done.id, position=position, repeated=done.repeated),
        HTTPStatus.ACCEPTED,
        {"Location": f"/v1/tasks/{done.id}", POSITION_HEADER: str(position)},
    )


async def cancel_task(call: Call) -> Answer:
    """Stop a task."""
    return await _receipt(call, await call.api.operations.cancel(call.task_id, call.body.reason, OPERATOR))


async def resolve_task(call: Call) -> Answer:
    """Declare a task done."""
    return await _receipt(call, await call.api.operations.resolve_task(call.task_id, call.body.reason, OPERATOR))


async def retry_step(call: Call) -> Answer:
    """Give a step another attempt."""
    step, reason = call.path["step"], call.body.reason
    return await _receipt(call, await call.api.operations.retry(call.task_id, step, reason, OPERATOR))


async def resolve_step(call: Call) -> Answer:
    """Declare a step done."""
    step = call.path["step"]
    body: Resolution = call.body
    done = await call.api.operations.resolve_step(call.task_id, step, body.result, body.reason, OPERATOR)
    return await _receipt(call, done)


async def resubmit_message(call: Call) -> Answer:
    """Send a quarantined message through again."""
    message_id = call.path["message_id"]
    done = await call.api.operations.resubmit(message_id, OPERATOR)
    if isinstance(done, Denied):
        raise denied(done)
    position = await position_of(call.api, done)
    model = Resubmission(message_id=message_id, applied_to=done.id, position=position, repeated=done.repeated)
    return Answer(model, headers={POSITION_HEADER: str(position)})


async def position_of(api: Api, done: Done) -> int:
    """Give a position that a read can wait for to see what was done. Of a repeat, none is known but the log's end."""
    return done.position or await api.store.head()


async def _receipt(call: Call, done: Done | Denied) -> Answer:
    if isinstance(done, Denied):
        raise denied(done)
    position = await position_of(call.api, done)
    model = Receipt(task_id=call.task_id, position=position, repeated=done.repeated)
    return Answer(model, headers={POSITION_HEADER: str(position)})


def _with_key(request: TaskRequested, header: str | None) -> TaskRequested:
    """Give the request with the key of the header Idempotency-Key, which may stand in quotes."""
    if header is None:
        return request
    key = header.strip()
    key = key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key
    if not 0 < len(key) <= _MOST_KEY or not key.isprintable():
        message = f"expected 1 to {_MOST_KEY} printable characters in Idempotency-Key, found {header!r}"
        raise refusal(HTTPStatus.BAD_REQUEST, "request.idempotency_key", message)
    if request.idempotency_key not in (None, key):
        message = f"expected one key, found {key!r} in Idempotency-Key and {request.idempotency_key!r} in the body"
        raise refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "request.idempotency_key", message, "/idempotency_key")
    return request.model_copy(update={"idempotency_key": key})
