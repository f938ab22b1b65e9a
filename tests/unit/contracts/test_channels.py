"""The channels in our words: which there are, and what each of them is good for."""

from collections.abc import Callable

import pytest

from stepbus.contracts.channels import (
    MAX_ID_LENGTH,
    MAX_NAME_LENGTH,
    Channel,
    is_reply,
    to_hear,
    to_id,
    to_prefix,
    to_send,
    to_share,
)
from stepbus.contracts.problems import Refused

LONGEST = "q" * MAX_NAME_LENGTH


def refused(code: str, ask: Callable[..., object], *arguments: str) -> None:
    with pytest.raises(Refused) as refusal:
        ask(*arguments)
    assert [problem.code for problem in refusal.value.problems] == [code]


@pytest.mark.parametrize(
    ("channel", "kind", "name"),
    [
        ("tasks", "tasks", ""),
        ("events", "events", ""),
        ("quarantine", "quarantine", ""),
        ("jobs.orders.validate_cart", "jobs", "orders.validate_cart"),
        (f"jobs.{LONGEST}", "jobs", LONGEST),
        ("results.0", "results", "0"),
        ("results.99999", "results", "99999"),
        ("replies.me-1", "replies", "me-1"),
    ],
)
def test_a_channel_is_taken_apart_and_written_as_it_was(channel: str, kind: str, name: str) -> None:
    assert to_send(channel) == Channel(kind, name)
    assert str(to_send(channel)) == channel


@pytest.mark.parametrize(
    "channel",
    [
        "",
        "task",
        "tasks.",
        "tasks.x",
        "jobs",
        "jobs.",
        "jobs..a",
        "jobs.a.",
        "jobs.a b",
        "jobs.*",
        "jobs.a.>",
        f"jobs.{LONGEST}q",
        "results.*",
        "results.01",
        "results.100000",
        "results.-1",
        "events.x",
        "replies.",
        "replies.ä",
        "tasks\n",
    ],
)
def test_what_no_broker_could_carry_is_no_channel(channel: str) -> None:
    refused("channel.name", to_send, channel)


def test_work_is_shared_by_groups_and_results_one_by_one_or_all_at_once() -> None:
    assert to_share("results.*", "coordinator") == Channel("results", "*")
    assert to_share("results.1", "coordinator") == Channel("results", "1")
    assert to_share("tasks", "coordinator") == Channel("tasks")
    assert to_share("jobs.a", "g") == Channel("jobs", "a")
    assert to_share("events", "audit") == Channel("events")
    refused("channel.shared", to_share, "replies.me", "coordinator")


@pytest.mark.parametrize("group", ["", "a.b", "a b", "g" * 65])
def test_a_group_is_one_token(group: str) -> None:
    refused("channel.group", to_share, "tasks", group)


def test_what_is_told_to_all_can_be_heard_alone_and_work_cannot() -> None:
    assert [to_hear(channel).kind for channel in ("events", "quarantine", "replies.me")] == [
        "events",
        "quarantine",
        "replies",
    ]
    for work in ("tasks", "jobs.a", "results.1"):
        refused("channel.heard", to_hear, work)


@pytest.mark.parametrize("prefix", ["", "Upper", "a.b", "a b", "p" * 33])
def test_a_prefix_is_a_short_token_of_lower_case(prefix: str) -> None:
    assert to_prefix("stepbus-2") == "stepbus-2"
    refused("channel.prefix", to_prefix, prefix)


@pytest.mark.parametrize("message_id", ["", "a\r\nb", "a\x00", "i" * (MAX_ID_LENGTH + 1)])
def test_an_id_can_stand_in_a_header(message_id: str) -> None:
    assert to_id("i" * MAX_ID_LENGTH) == "i" * MAX_ID_LENGTH
    refused("message.id", to_id, message_id)


@pytest.mark.parametrize(
    ("channel", "can_answer"),
    [
        ("replies.me", True),
        (f"replies.{LONGEST}", True),
        (f"replies.{LONGEST}q", False),
        ("replies.", False),
        ("tasks", False),
    ],
)
def test_answers_go_to_replies_alone(channel: str, *, can_answer: bool) -> None:
    assert is_reply(channel) is can_answer
