"""Groups of verbs, each in a module of its name that is imported when the verb is used: none pays for the others."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup


class Verbs(TyperGroup):
    """The verbs of `package`, of which only the one that is used is loaded."""

    package: ClassVar[str]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Give the verb itself for the placeholder that help lists."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and command is not None:
            command = typer.main.get_command(import_module(f"{self.package}.{name}").app)
            command.name = name
        return name, command, rest


def group_of(package: str, verbs: Mapping[str, str], about: str, *, has_completion: bool = False) -> typer.Typer:
    """Give the group of these verbs, each with what a listing says of it; `app` in its module is what it does."""
    group = type("Verbs", (Verbs,), {"package": package})
    app = typer.Typer(
        cls=group, add_completion=has_completion, no_args_is_help=True, pretty_exceptions_enable=False, help=about
    )
    for name, says in verbs.items():
        app.command(name, help=says)(_placeholder)
    return app


def _placeholder() -> None:
    """Stand in a listing for a verb that is not loaded."""
