"""What was released is read for ever: one golden document for every message, stored event and template form.

A golden document is never edited. A new version of a shape gets a new one; `python -m tests.support.golden` adds what
is missing.
"""

import hashlib
from pathlib import Path

import jsonschema_rs
import orjson
import pytest

from stepbus import contracts
from stepbus.contracts import codec, envelope, messages
from stepbus.contracts.events import EVENTS, decode_record, encode_record
from stepbus.contracts.messages import MESSAGES
from stepbus.contracts.schemas import FOLDER, documents
from stepbus.contracts.template import TaskDocument, TaskTemplate, check, from_mapping

GOLDEN = Path(contracts.__path__[0]) / "golden"
MESSAGE_NAMES = [f"{message.TYPE}.v{message.VERSION}" for message in MESSAGES]
TEMPLATE_VERSIONS = range(1, TaskDocument.VERSION + 1)
EVENT_NAMES = [f"{event.TYPE}.v{event.VERSION}" for event in EVENTS]


def golden(path: str) -> bytes:
    return (GOLDEN / path).read_bytes()


def is_valid(schema: str, value: object) -> bool:
    return jsonschema_rs.is_valid(orjson.loads(documents()[schema]), value, validate_formats=True)


@pytest.mark.parametrize("name", MESSAGE_NAMES)
def test_a_message_is_read_and_written_as_it_was_released(name: str) -> None:
    body = golden(f"messages/{name}.json")

    event = envelope.read(body)
    message = messages.read(event)

    data = message.model_dump(mode="json", exclude_none=True)
    assert envelope.write(event.model_copy(update={"data": data})) == body


@pytest.mark.parametrize("name", MESSAGE_NAMES)
def test_a_message_is_valid_by_its_schema(name: str) -> None:
    event = orjson.loads(golden(f"messages/{name}.json"))

    assert is_valid("envelope/cloudevent.v1.json", event)
    assert is_valid(f"messages/{name}.json", event["data"])


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("records/*.json")), ids=lambda path: path.stem)
def test_a_stored_event_is_read_whatever_release_wrote_it(path: Path) -> None:
    (event,) = decode_record(path.read_bytes()).events

    assert path.stem.partition(".")[0] == event.TYPE


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_a_stored_event_is_written_as_it_was_released(name: str) -> None:
    body = golden(f"records/{name}.json")

    assert encode_record(decode_record(body)) == body
    assert is_valid(f"events/{name}.json", orjson.loads(body)["events"][0]["data"])


@pytest.mark.parametrize("version", TEMPLATE_VERSIONS)
def test_a_template_keeps_its_canonical_bytes_and_so_its_hash(version: int) -> None:
    written = check(golden(f"templates/process_order.v{version}.yaml"), "yaml")
    canonical = golden(f"templates/process_order.v{version}.json")

    assert codec.canonical(written.canonical()) == canonical
    assert written.hash == hashlib.sha256(canonical).hexdigest()
    schema = orjson.loads((FOLDER / f"template/task.v{version}.json").read_bytes())
    assert jsonschema_rs.is_valid(schema, orjson.loads(canonical), validate_formats=True)
    assert is_valid(f"template/task.v{TaskDocument.VERSION}.json", orjson.loads(canonical))


@pytest.mark.parametrize("version", TEMPLATE_VERSIONS)
def test_a_stored_template_is_read_as_it_was_released(version: int) -> None:
    canonical = orjson.loads(golden(f"templates/process_order.v{version}.json"))

    assert TaskTemplate.model_validate(canonical) == from_mapping(canonical)


def test_no_golden_document_was_edited() -> None:
    sums = {
        path.relative_to(GOLDEN).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in GOLDEN.rglob("*")
        if path.is_file() and path.name != "MANIFEST.json"
    }

    assert sums == orjson.loads(golden("MANIFEST.json"))
