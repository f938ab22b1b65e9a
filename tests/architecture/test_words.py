"""Names say what a thing is, and a broker's words stay in its adapter."""

import ast
import re

from tests.architecture.tree import ROOT, listing, parsed, product_files

EMPTY_SUFFIXES = ("Base", "Data", "Helper", "Helpers", "Impl", "Manager", "Util", "Utils")
EMPTY_MODULES = {"base", "common", "data", "helpers", "misc", "util", "utils"}

ADAPTERS_WORDS = (
    "consumer_group",
    "delivery_tag",
    "jetstream",
    "max_deliver",
    "notification_id",  # of the eventsourcing library: ours is position
    "offset",
    "originator_id",  # of the eventsourcing library: ours is stream
    "prefetch",
    "routing_key",
)
"""Words of one broker or library, which mean nothing on another."""


def test_no_class_is_named_for_what_it_is_not() -> None:
    found = [
        f"{path}:{node.lineno} {node.name}"
        for path in product_files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef) and node.name.endswith(EMPTY_SUFFIXES)
    ]

    assert not found, listing(found)


def test_no_module_is_a_drawer_for_anything() -> None:
    found = [path for path in product_files() if path.stem in EMPTY_MODULES]

    assert not found, listing(found)


def test_the_words_of_brokers_stay_in_their_adapters() -> None:
    words = re.compile(rf"(?<![a-z])({'|'.join(ADAPTERS_WORDS)})s?(?![a-z])", re.IGNORECASE)

    found = [
        f"{path}:{number} {line.strip()}"
        for path in product_files()
        if not path.is_relative_to("adapters")
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
        if words.search(line)
    ]

    assert not found, listing(found)
