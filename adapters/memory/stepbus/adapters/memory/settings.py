"""What a `memory:` URL says."""

from stepbus.adapters.recorders.urls import parts_of
from stepbus.contracts.problems import refuse


def parse(url: str) -> str:
    """Give the name in `memory:name`, under which the bus is known in this process; "" for `memory:`.

    Raises:
        Refused: the URL holds more than a name.
    """
    parts = parts_of(url, ())
    if parts.authority or "/" in parts.path:
        raise refuse("settings.url", f"expected memory: or memory:name, found {url!r}")
    return parts.path
