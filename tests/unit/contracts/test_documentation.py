"""docs/contracts.md says what the code says: its codes, its messages, its limits."""

import re
from pathlib import Path

import pytest

from stepbus import contracts
from stepbus.contracts import codec, envelope
from stepbus.contracts.changes import KINDS
from stepbus.contracts.messages import MESSAGES
from stepbus.contracts.problems import MAX_PROBLEMS, MAX_TEXT
from stepbus.contracts.schema import MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, MAX_SUBSCHEMAS, rules
from stepbus.contracts.template import MAX_ATTEMPTS, MAX_DOCUMENT_BYTES, MAX_EDGES, MAX_STEPS, format_duration
from stepbus.contracts.template.check import MAX_TOLD
from stepbus.contracts.template.duration import MAX_DURATION_MS
from stepbus.contracts.template.model import MAX_ENVIRONMENTS

SOURCE = Path(contracts.__path__[0])
PAGE = (Path(__file__).parents[3] / "docs" / "contracts.md").read_text()

WHOLE_CODE = re.compile(r'"((?:channel|envelope|event|json|message|schema|template|yaml)\.[a-z0-9_]+)"')
NAMED_CODE = re.compile(r'problem\(\s*"([a-z0-9_]+)"')
SUBJECTS = {
    "document/json_text.py": ["json"],
    "document/model.py": ["json", "yaml"],
    "document/yaml_text.py": ["yaml"],
    "schema/rules.py": ["schema"],
    "template/edges.py": ["template"],
    "template/relations.py": ["template"],
}
"""Where codes are written without what they are about."""

COMPOSED = {"yaml.encoding", "envelope.missing"} | {f"message.{end}" for end in ("missing", "unknown_key", "invalid")}


def section(name: str) -> str:
    return PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]


def first_cells(name: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", section(name), re.MULTILINE)


def test_every_code_of_the_source_is_explained_and_no_other() -> None:
    codes = set(COMPOSED)
    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        codes.update(WHOLE_CODE.findall(text))
        for subject in SUBJECTS.get(path.relative_to(SOURCE).as_posix(), ()):
            codes.update(f"{subject}.{end}" for end in NAMED_CODE.findall(text))
    codes -= {message.TYPE for message in MESSAGES} | KINDS.keys()

    assert set(first_cells("Codes")) == codes


def test_every_kind_of_change_is_listed_with_what_it_does() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([a-z]+) \| (.+) \|$", section("Kinds of changes"), re.MULTILINE)

    assert rows == [(code, effect.value, why) for code, (effect, why) in sorted(KINDS.items())]


def test_every_message_is_listed_and_no_other() -> None:
    assert sorted(first_cells("Messages")) == sorted(message.TYPE for message in MESSAGES)


@pytest.mark.parametrize(
    ("what", "limit"),
    [
        ("a message, inline", f"{codec.MAX_MESSAGE_BYTES:,} bytes"),
        ("levels of JSON", codec.MAX_DEPTH),
        ("levels of a job, which wraps the results that it carries", codec.MAX_CARRIED_DEPTH),
        ("an attribute of the envelope", f"{envelope.MAX_ATTRIBUTE:,} characters"),
        ("steps of a template", f"{MAX_STEPS:,}"),
        ("dependencies of a template, in all", f"{MAX_EDGES:,}"),
        ("environments of a template", MAX_ENVIRONMENTS),
        ("a template as text", f"{MAX_DOCUMENT_BYTES:,} bytes"),
        ("attempts of a step", MAX_ATTEMPTS),
        ("a duration", format_duration(MAX_DURATION_MS)),
        ("a user's JSON Schema", f"{MAX_SCHEMA_BYTES:,} bytes"),
        ("levels of subschemas in it", MAX_SCHEMA_DEPTH),
        ("subschemas in it", MAX_SUBSCHEMAS),
        ("patterns in it", rules.MAX_PATTERNS),
        ("a pattern in it", f"{rules.MAX_PATTERN_LENGTH} characters"),
        ("problems told of one message, text or value", MAX_PROBLEMS),
        ("a problem's message, and its pointer", f"{MAX_TEXT:,} characters"),
        ("problems told of one template", f"{MAX_TOLD:,}"),
    ],
)
def test_every_limit_is_the_one_that_is_kept(what: str, limit: object) -> None:
    assert f"| {what} | {limit} |" in section("Limits")
