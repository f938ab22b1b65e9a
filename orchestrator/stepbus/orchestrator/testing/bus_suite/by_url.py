"""A bus by its URL, as a deployment opens it, in a process that knows no adapter."""

from importlib.metadata import entry_points

from stepbus.orchestrator.ports import Adapter, Bus, BusSettings


async def open_by_url(url: str, settings: BusSettings) -> Bus:
    """Open the bus of the adapter that the URL's scheme names.

    Raises:
        LookupError: no adapter has this scheme, or its carries no messages.
    """
    scheme = url.partition(":")[0]
    for entry in entry_points(group="stepbus.adapters", name=scheme):
        adapter: Adapter = entry.load()(url)
        if adapter.bus is not None:
            return await adapter.bus(settings)
    raise LookupError(f"expected the URL of a bus, found {scheme!r}:")


def with_option(url: str, name: str, value: object) -> str:
    """Give the URL with one more option, unless it has that one already."""
    options = url.partition("?")[2]
    if f"{name}=" in options:
        return url
    return f"{url}{'&' if options else '?'}{name}={value}"
