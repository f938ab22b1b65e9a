"""Templates, quarantined messages and ignored answers."""

import json
from uuid import uuid4

from stepbus.contracts import events as e
from stepbus.contracts.problems import Problem
from stepbus.projections.ignored import IGNORED
from stepbus.projections.quarantine import QUARANTINE
from stepbus.projections.templates import TEMPLATES
from tests.support.projected import DIAMOND, TASK, Projected

PROBLEMS = (
    Problem(code="template.unknown", message="expected a registered template", pointer="/data/template"),
    Problem(code="task.context", message="expected a number", pointer="/data/context/n"),
)
QUARANTINED = e.MessageQuarantined(
    channel="tasks", body="e30=", headers={"x": "1"}, problems=PROBLEMS, request_id="m-1", replyto="_INBOX.1"
)


async def test_a_registered_template_is_kept_with_its_document(log: Projected) -> None:
    position = await log.given_template()

    await log.when(TEMPLATES)

    row = await log.row("SELECT * FROM view_templates")
    assert (row["namespace"], row["name"], row["version"]) == ("shop", "diamond", "1.0.0")
    assert (row["template_hash"], row["total_steps"], row["position"]) == (DIAMOND.hash, 4, position)
    assert json.loads(row["template"]) == DIAMOND.canonical()


async def test_a_quarantined_message_is_kept_whole_with_all_its_problems(log: Projected) -> None:
    message = uuid4()
    await log.given(QUARANTINED, stream=message, category=e.QUARANTINE)

    await log.when(QUARANTINE)

    row = await log.row("SELECT * FROM view_quarantine")
    assert (row["message_id"], row["state"], row["channel"]) == (str(message), "quarantined", "tasks")
    assert (row["code"], row["pointer"]) == ("template.unknown", "/data/template")
    assert [problem["code"] for problem in json.loads(row["problems"])] == ["template.unknown", "task.context"]
    assert (row["body"], row["headers"], row["replyto"]) == ("e30=", '{"x":"1"}', "_INBOX.1")


async def test_a_resubmitted_message_says_when_and_by_whom(log: Projected) -> None:
    message = uuid4()
    await log.given(QUARANTINED, stream=message, category=e.QUARANTINE)
    await log.given(e.MessageResubmitted(), stream=message, category=e.QUARANTINE, actor="operator/http")

    await log.when(QUARANTINE)

    row = await log.row("SELECT * FROM view_quarantine")
    assert (row["state"], row["resubmitted_by"], row["resubmitted_at_ms"]) == ("resubmitted", "operator/http", 1001)
    assert row["resubmissions"] == 1


async def test_an_ignored_answer_says_what_it_was_and_why_it_changed_nothing(log: Projected) -> None:
    ignored = e.AnswerIgnored(
        task_id=TASK,
        step="begin",
        attempt=1,
        code="result.late",
        reason="attempt 2 is the current one",
        answer_type="step.completed",
        worker="w-1",
    )
    position = await log.given(ignored, stream=uuid4(), category=e.IGNORED)

    await log.when(IGNORED)

    row = await log.row("SELECT * FROM view_ignored")
    assert (row["task_id"], row["step"], row["attempt"]) == (str(TASK), "begin", 1)
    assert (row["code"], row["answer_type"], row["worker"]) == ("result.late", "step.completed", "w-1")
    assert row["position"] == position
