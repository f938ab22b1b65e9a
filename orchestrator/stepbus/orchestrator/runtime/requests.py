"""From a client's request to the command that it makes, the same whether it came over the bus or at the desk."""

from collections.abc import Callable
from uuid import UUID, uuid5

from stepbus.contracts import events as e
from stepbus.contracts.messages import TaskRequested
from stepbus.contracts.problems import Problem
from stepbus.orchestrator.core.commands import RequestTask
from stepbus.orchestrator.core.decide import Rejection
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.runtime.catalogue import Catalogue
from stepbus.orchestrator.runtime.intents import Cause


async def requested(
    request: TaskRequested,
    cause: Cause,
    at_ms: int,
    catalogue: Catalogue,
    reply_is_allowed: Callable[[str], bool],
) -> RequestTask | Rejection:
    """Give the command, or why there is none: `invalid` if nothing may go to the reply address, `missing` a template.

    Shape: the message that `cause` names is the request; pointers are into it.

    Raises:
        StoreUnavailable: it is not known whether there is such a template; ask again.
    """
    if request.replyto is not None and not reply_is_allowed(request.replyto):
        message = f"expected an address that a reply may go to, found {request.replyto!r}"
        return Rejection((Problem(code="task.replyto", message=message, pointer="/replyto"),), "invalid")
    plan = await catalogue.find(request.namespace, request.template, request.version)
    if not isinstance(plan, Plan):
        return Rejection((plan,), "missing")
    return RequestTask(
        task_id=_task_id(request, cause),
        plan=plan,
        context=request.context,
        request_id=cause.causation_id,
        at_ms=at_ms,
        timeout_ms=request.timeout_ms,
        bypass_steps=request.bypass_steps,
        replyto=request.replyto,
    )


def _task_id(request: TaskRequested, cause: Cause) -> UUID:
    """Give the id of the task that a request makes: the same for every repeat of the request."""
    if request.task_id is not None:
        return request.task_id
    if request.idempotency_key is not None:
        return uuid5(e.STREAMS, f"{cause.tenant}/key/{request.idempotency_key}")
    return uuid5(e.STREAMS, f"{cause.tenant}/request/{cause.causation_id}")
