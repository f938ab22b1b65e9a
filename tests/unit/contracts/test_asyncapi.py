"""The AsyncAPI document leads to every message, and describes it."""

from typing import Any

import jsonschema_rs
import orjson
import pytest

from stepbus.contracts.messages import ANNOUNCEMENTS, ANSWERS, MESSAGES, REQUESTS
from stepbus.contracts.schemas.asyncapi import asyncapi
from tests.support.golden import GOLDEN

DOCUMENT = asyncapi()


def at(pointer: str) -> Any:
    part: Any = DOCUMENT
    for token in pointer.removeprefix("#/").split("/"):
        part = part[token]
    return part


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        return [part["$ref"]] if "$ref" in part else [ref for value in part.values() for ref in references(value)]
    return [ref for value in part for ref in references(value)] if isinstance(part, list) else []


def test_every_reference_leads_somewhere() -> None:
    assert all(at(reference) for reference in references(DOCUMENT))


def test_every_message_goes_over_a_channel() -> None:
    carried = {name for channel in DOCUMENT["channels"].values() for name in channel["messages"]}

    assert carried == {message.TYPE for message in MESSAGES}


def test_every_channel_is_read_or_written_and_no_message_is_lost_on_the_way() -> None:
    for operation in DOCUMENT["operations"].values():
        channel = at(operation["channel"]["$ref"])
        assert [at(message["$ref"]) for message in operation["messages"]] == list(channel["messages"].values())
    assert len(DOCUMENT["operations"]) == len(DOCUMENT["channels"])


def test_stepbus_receives_what_clients_and_workers_send_and_sends_the_rest() -> None:
    received = {
        reference["$ref"].rpartition("/")[2]
        for operation in DOCUMENT["operations"].values()
        if operation["action"] == "receive"
        for reference in operation["messages"]
    }

    assert received == {message.TYPE for message in (*REQUESTS, *ANSWERS, *ANNOUNCEMENTS)}


def test_the_parameters_of_an_address_are_explained() -> None:
    for channel in DOCUMENT["channels"].values():
        named = {part.strip("{}") for part in channel["address"].split(".") if part.startswith("{")}
        assert named == set(channel["parameters"])


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.TYPE)
def test_a_released_message_is_valid_as_the_document_describes_it(message: Any) -> None:
    payload = DOCUMENT["components"]["messages"][message.TYPE]["payload"]
    schema = payload | {"components": DOCUMENT["components"]}
    event = orjson.loads((GOLDEN / f"messages/{message.TYPE}.v{message.VERSION}.json").read_bytes())

    assert jsonschema_rs.is_valid(schema, event)
    assert not jsonschema_rs.is_valid(schema, event | {"type": "another"})
    assert not jsonschema_rs.is_valid(schema, event | {"data": {}})
