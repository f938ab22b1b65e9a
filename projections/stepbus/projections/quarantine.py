"""The quarantine: every message that could not be applied, and whether it was sent through again."""

from stepbus.contracts import events as e
from stepbus.contracts.problems import Problem
from stepbus.projections.projection import Batch, Fact, Projection, Row, Table, by_event, inserting, json_text

_TABLE = Table(
    "view_quarantine",
    ("message_id",),
    (
        """CREATE TABLE IF NOT EXISTS view_quarantine (
            message_id TEXT NOT NULL PRIMARY KEY,
            position BIGINT NOT NULL,
            state TEXT NOT NULL,
            channel TEXT NOT NULL,
            code TEXT NOT NULL,
            pointer TEXT NOT NULL,
            reason TEXT NOT NULL,
            problems TEXT NOT NULL,
            body TEXT NOT NULL,
            headers TEXT NOT NULL,
            request_id TEXT,
            replyto TEXT,
            quarantined_at_ms BIGINT NOT NULL,
            resubmitted_at_ms BIGINT,
            resubmitted_by TEXT,
            resubmissions BIGINT NOT NULL
        )""",
        "CREATE INDEX IF NOT EXISTS view_quarantine_position ON view_quarantine (position)",
    ),
)

_KEEP = (
    inserting(
        "view_quarantine",
        "message_id",
        "position",
        "state",
        "channel",
        "code",
        "pointer",
        "reason",
        "problems",
        "body",
        "headers",
        "request_id",
        "replyto",
        "quarantined_at_ms",
        "resubmissions",
    )
    + """ ON CONFLICT (message_id) DO UPDATE SET state = 'quarantined', code = excluded.code,
    pointer = excluded.pointer, reason = excluded.reason, problems = excluded.problems"""
)
_RESUBMIT = """UPDATE view_quarantine SET state = 'resubmitted', resubmitted_at_ms = :at_ms, resubmitted_by = :actor,
    resubmissions = resubmissions + 1 WHERE message_id = :message_id"""

_UNKNOWN = Problem(code="message.unexplained", message="no reason was kept")


def _quarantined(fact: Fact, event: e.MessageQuarantined, batch: Batch) -> None:
    first = next(iter(event.problems), _UNKNOWN)
    batch.add(
        fact.stream,
        _KEEP,
        {
            "message_id": fact.stream,
            "position": fact.position,
            "channel": event.channel,
            "code": first.code,
            "pointer": first.pointer,
            "reason": first.message,
            "problems": json_text([problem.model_dump(mode="json") for problem in event.problems]),
            "body": event.body,
            "headers": json_text(event.headers),
            "request_id": event.request_id,
            "replyto": event.replyto,
            "quarantined_at_ms": fact.meta.at_ms,
            "state": "quarantined",
            "resubmissions": 0,
        },
    )


def _resubmitted(fact: Fact, _event: e.MessageResubmitted, batch: Batch) -> None:
    row: Row = {"message_id": fact.stream, "at_ms": fact.meta.at_ms, "actor": fact.meta.actor}
    batch.add(fact.stream, _RESUBMIT, row)


QUARANTINE = Projection(
    "quarantine",
    frozenset({e.QUARANTINE}),
    (_TABLE,),
    by_event({e.MessageQuarantined: _quarantined, e.MessageResubmitted: _resubmitted}),
)
