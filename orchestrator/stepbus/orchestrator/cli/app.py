"""The verbs by name.

Each lives in a module that is imported when the verb is used, so that none pays for the others.
"""

import io
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

VERBS: Mapping[str, tuple[str, str]] = {
    "dev": ("dev", "Run everything in one process: SQLite, an embedded broker, coordinator, projections, API."),
    "serve": ("serve", "Run one or more roles against the configured store and bus."),
    "template": ("template", "Check, register, show, draw and list task templates."),
    "submit": ("submit", "Start a task."),
    "task": ("task", "List, show, watch, explain, cancel, retry and resolve tasks."),
    "simulate": ("simulate", "Run a template through the real core on a virtual clock, with scripted workers."),
    "replay": ("replay", "Fold the history of a task, or of all, and compare with the live state."),
    "rebuild": ("rebuild", "Make the views anew from the log."),
    "verify": ("verify", "Check the invariants of every task, from the log alone."),
    "quarantine": ("quarantine", "List, show and resubmit messages that could not be applied."),
    "config": ("config", "Show every setting: its value, and where it comes from."),
    "version": ("version", "Show the version of stepbus."),
}
"""The module in this folder that holds the verb's `app`, and what help says of it."""


class Verbs(TyperGroup):
    """The verbs, of which only the one that is used is loaded."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Give the verb itself for the placeholder that help lists."""
        name, placeholder, rest = super().resolve_command(ctx, args)
        if name is None or placeholder is None:
            return name, placeholder, rest
        module = import_module(f"{__package__}.{VERBS[name][0]}")
        command = typer.main.get_command(module.app)
        command.name = name
        return name, command, rest


def _placeholder() -> None:
    """Stand in a listing for a verb that is not loaded."""


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="stepbus: tasks made of steps, decided from a log, run by workers on a message bus.",
)
for _name, (_, _help) in VERBS.items():
    app.command(_name, help=_help)(_placeholder)


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a symbol still gets the words
    app(prog_name="stepbus")
