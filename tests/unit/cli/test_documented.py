"""docs/cli.md is the reference: every verb and every option is in it, and no other."""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from stepbus.orchestrator.cli import app
from stepbus.orchestrator.cli.failure import FORESEEN
from stepbus.orchestrator.cli.lazy import Verbs
from stepbus.orchestrator.cli.verb import Verb

REFERENCE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
OPTION = re.compile(r"--[a-z][a-z-]*")


def verbs(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every verb that does something, with its words."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    package = command.package if isinstance(command, Verbs) else None
    for word, member in command.commands.items():
        found = typer.main.get_command(import_module(f"{package}.{word}").app) if package else member
        yield from verbs(f"{name} {word}", found)


VERBS = dict(verbs("stepbus", typer.main.get_command(app)))


def sections() -> Mapping[str, str]:
    preamble, *rest = re.split(r"(?m)^## ", REFERENCE)
    return {"": preamble, **dict(part.split("\n", 1) for part in rest)}


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")} - {"--help"}


SECTIONS = sections()
COMMON = set(OPTION.findall(SECTIONS[""]))


def test_every_verb_has_a_section_and_every_section_a_verb() -> None:
    assert set(SECTIONS) - {""} == set(VERBS)


@pytest.mark.parametrize("name", VERBS)
def test_every_option_of_a_verb_is_in_its_section_or_common_to_many(name: str) -> None:
    documented = set(OPTION.findall(SECTIONS[name]))

    assert options_of(VERBS[name]) <= documented | COMMON


@pytest.mark.parametrize("name", VERBS)
def test_no_section_names_an_option_that_its_verb_has_not(name: str) -> None:
    in_tables = {option for row in SECTIONS[name].splitlines() if row.startswith("|") for option in OPTION.findall(row)}

    assert in_tables - {"--wait"} <= options_of(VERBS[name])


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_answers_in_json_and_fails_without_a_traceback(name: str) -> None:
    assert "--json" in options_of(VERBS[name])
    assert isinstance(VERBS[name], Verb)
    assert FORESEEN


@pytest.mark.parametrize("name", VERBS)
def test_every_option_says_what_it_is(name: str) -> None:
    assert VERBS[name].help
    assert all(parameter.help for parameter in VERBS[name].params)


def test_a_listing_says_of_each_verb_what_the_verb_says_first() -> None:
    for group in (
        typer.main.get_command(app),
        typer.main.get_command(import_module("stepbus.orchestrator.cli.template").app),
    ):
        assert isinstance(group, Verbs)
        for word, placeholder in group.commands.items():
            command = typer.main.get_command(import_module(f"{group.package}.{word}").app)
            assert (command.help or "").startswith((placeholder.help or "?").rstrip("."))
