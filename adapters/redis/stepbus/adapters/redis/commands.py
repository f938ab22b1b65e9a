"""Commands as they go over the wire."""

from typing import cast

from hiredis import pack_command

Part = str | bytes | int


def pack(*parts: Part) -> bytes:
    """Give a command, its name first."""
    return cast("bytes", pack_command(parts))  # type: ignore[arg-type] # hiredis declares a tuple of one
