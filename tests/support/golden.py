"""`python -m tests.support.golden`: write the golden documents that are missing, and their sums. It edits none.

A golden document is an example of one released shape with every field filled in.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from stepbus import contracts
from stepbus.contracts import codec, envelope
from stepbus.contracts import events as e
from stepbus.contracts import messages as m
from stepbus.contracts.envelope import CloudEvent
from stepbus.contracts.problems import Problem
from stepbus.contracts.template import TaskTemplate, check

GOLDEN: Final = Path(contracts.__path__[0]) / "golden"
MANIFEST: Final = "MANIFEST.json"
WRITTEN_TEMPLATE: Final = "templates/process_order.v1.yaml"

TASK: Final = UUID("0192f0c1-7a3b-7c4d-8e5f-0123456789ab")
ENTRY: Final = UUID("6ba7b810-9dad-51d1-80b4-00c04fd430c8")
AT: Final = datetime(2026, 11, 24, 9, 30, 15, 250_000, UTC)
AT_MS: Final = 1_795_512_615_250
TOKEN: Final = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"  # noqa: S105 - of an example
REPLY: Final = "stepbus.replies.client-1"
REQUEST: Final = "/clients/web/7"
BODY: Final = "eyJpZCI6IjEifQ=="
CONTEXT: Final = {"order_id": "8f14e45f-ceea-467f-a8d2-6b2d4c9e1f00", "note": "Grüße, 東京 🚀", "gift": None}
PROBLEM: Final = Problem(
    code="result.token", message="expected the token of the job, found another", pointer="/data/token"
)
ERROR: Final = m.StepError(
    code="PaymentDeclined",
    message="the card was declined",
    retryable=False,
    retry_after=1.5,
    details={"reason": "insufficient funds", "left": None},
)
SERVED: Final = m.ServedHandler(
    handler="ecommerce.charge_card",
    contract=1,
    input_schema={"type": "object", "required": ["context"], "properties": {"context": {"required": ["order_id"]}}},
    result_schema={"type": "object", "properties": {"paid": {"type": "boolean"}}},
    error_schema=True,
)
META: Final = e.Metadata(
    at_ms=AT_MS, tenant="acme", correlation_id=str(TASK), causation_id=REQUEST, actor="worker/worker-1"
)


def messages() -> Iterator[m.Message]:
    """Give an example of every message."""
    template = {"namespace": "ecommerce", "name": "process_order", "version": "1.2.0"}
    attempt = {"task_id": TASK, "step": "validate_cart", "attempt": 2, "token": TOKEN, "worker": "worker-1"}
    yield m.TaskRequested(
        template="process_order",
        namespace="ecommerce",
        version="1.2.0",
        context=CONTEXT,
        task_id=TASK,
        idempotency_key="order-4711",
        timeout_ms=3_600_000,
        bypass_steps=("send_mail",),
        replyto=REPLY,
    )
    yield m.TaskCancelRequested(task_id=TASK, reason="the customer changed their mind")
    yield m.StepCompleted.model_validate(attempt | {"result": {"total": 25.0, "checked": True, "items": []}})
    yield m.StepFailed.model_validate(attempt | {"error": ERROR})
    yield m.StepHeartbeat.model_validate(attempt | {"progress": {"done": 3, "of": 10}})
    yield m.WorkerAnnounced(worker="worker-1", handlers=(SERVED,))
    yield m.StepRequested(
        task_id=TASK,
        step="charge_card",
        attempt=1,
        handler="ecommerce.charge_card",
        inputs=m.Inputs(context=CONTEXT, results={"validate_cart": {"total": 25.0}}),
        timeout_ms=30_000,
        idempotency_key=f"{TASK}/charge_card",
        replyto="stepbus.results.3",
        token=TOKEN,
    )
    yield m.TaskAccepted.model_validate(template | {"task_id": TASK, "position": 41})
    yield m.TaskRejected(request_id=REQUEST, problems=(PROBLEM,))
    for changed, status in (
        (m.TaskCompleted, "complete"),
        (m.TaskFailed, "error"),
        (m.TaskCancelled, "cancelled"),
        (m.TaskReopened, "in_progress"),
        (m.TaskResolvedManually, "resolved_manually"),
    ):
        yield changed.model_validate(template | {"task_id": TASK, "status": status, "reason": "as an example"})
    yield m.QuarantineEntry(
        message_id=ENTRY,
        channel="results.3",
        code=PROBLEM.code,
        pointer=PROBLEM.pointer,
        reason=PROBLEM.message,
        body=BODY,
    )


def events(template: TaskTemplate) -> Iterator[e.Event]:
    """Give an example of every stored event."""
    names = {"namespace": template.namespace, "name": template.name, "version": template.version}
    accepted = {"template_hash": template.hash, "context": CONTEXT, "request_id": REQUEST}
    yield e.TaskAccepted.model_validate(names | accepted | {"deadline_at_ms": AT_MS + 3_600_000, "replyto": REPLY})
    yield e.StepBypassed(step="send_mail")
    yield e.StepDispatched(step="validate_cart", attempt=1, deadline_at_ms=AT_MS + 30_000)
    yield e.StepHeartbeatRecorded(
        step="validate_cart", attempt=1, deadline_at_ms=AT_MS + 30_000, progress={"done": 3, "of": 10}
    )
    yield e.StepCompleted(step="validate_cart", attempt=2, result={"total": 25.0, "left": None})
    yield e.StepFailed(step="charge_card", attempt=1, error=ERROR, retry_at_ms=AT_MS + 1_500)
    yield e.StepTimedOut(step="charge_card", attempt=2, retry_at_ms=AT_MS + 1_500)
    yield e.StepCancelled(step="send_mail", attempt=0)
    yield e.StepResolvedManually(step="charge_card", attempt=3, result={"paid": True}, reason="paid in cash")
    yield e.StepReopened(step="charge_card", max_attempts=5, reason="the bank is back")
    yield e.TaskCompleted()
    yield e.TaskFailed(code="task.steps_failed", failed_steps=("charge_card",))
    yield e.TaskCancelled(reason="the customer changed their mind")
    yield e.TaskReopened()
    yield e.TaskResolvedManually(reason="shipped by hand")
    yield e.TemplateRegistered.model_validate(
        names | {"template_hash": template.hash, "template": template.canonical()}
    )
    yield e.WorkerAnnounced(worker="worker-1", handlers=(SERVED,))
    yield e.MessageQuarantined(
        channel="results.3",
        body=BODY,
        headers={"content-type": envelope.CONTENT_TYPE},
        problems=(PROBLEM,),
        request_id=REQUEST,
        replyto=REPLY,
    )
    yield e.MessageResubmitted()
    yield e.AnswerIgnored(
        task_id=TASK,
        step="validate_cart",
        attempt=1,
        code="result.late",
        reason="expected an answer to attempt 2, found one to attempt 1",
        answer_type="step.completed",
        worker="worker-1",
    )


def documents() -> Iterator[tuple[str, bytes]]:
    """Give each golden document of today's shapes, by its path."""
    template = check((GOLDEN / WRITTEN_TEMPLATE).read_bytes(), "yaml")
    for path in sorted(GOLDEN.glob("templates/*.yaml")):
        canonical = codec.canonical(check(path.read_bytes(), "yaml").canonical())
        yield path.relative_to(GOLDEN).with_suffix(".json").as_posix(), canonical
    for message in messages():
        yield f"messages/{message.TYPE}.v{message.VERSION}.json", envelope.write(_enveloped(message))
    for event in events(template):
        record = e.Record(first=12, meta=META, events=(event,))
        yield f"records/{event.TYPE}.v{event.VERSION}.json", e.encode_record(record)


def _enveloped(message: m.Message) -> CloudEvent:
    return CloudEvent(
        id="0192f0c1:42.0",
        source="/stepbus/0192f0c1",
        type=message.TYPE,
        time=AT,
        dataschema=message.dataschema(),
        partitionkey=str(TASK),
        correlationid=str(TASK),
        causationid=REQUEST,
        tenant="acme",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        data=message.model_dump(mode="json", exclude_none=True),
    )


def main() -> None:
    """Write what is missing."""
    for path, body in documents():
        place = GOLDEN / path
        place.parent.mkdir(exist_ok=True)
        if not place.exists():
            place.write_bytes(body)
            sys.stdout.write(f"{path}\n")
    files = sorted(path for path in GOLDEN.rglob("*") if path.is_file() and path.name != MANIFEST)
    sums = {path.relative_to(GOLDEN).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (GOLDEN / MANIFEST).write_text(json.dumps(sums, indent=2) + "\n")


if __name__ == "__main__":
    main()
