"""The bus behind a URL: any installed adapter that answers to the URL's scheme."""

import asyncio
import logging
from importlib.metadata import entry_points

from stepbus.contracts.problems import refuse
from stepbus.orchestrator.ports import Adapter, Bus, BusSettings, BusUnavailable

_LOGGER = logging.getLogger("stepbus.worker")
_PAUSE_S = 1.0


async def open_bus(url: str, prefix: str) -> Bus:
    """Give the bus; while its broker is away, wait for it.

    Raises:
        Refused: no adapter answers to the scheme, or the one that does offers no bus.
    """
    scheme = url.partition(":")[0]
    found = tuple(entry_points(group="stepbus.adapters", name=scheme))
    if not found:
        known = ", ".join(sorted({point.name for point in entry_points(group="stepbus.adapters")}))
        raise refuse("worker.url", f"expected a URL with one of the schemes {known}, found {scheme!r}")
    adapter: Adapter = found[0].load()(url)
    if adapter.bus is None:
        raise refuse("worker.url", f"expected an adapter that offers a bus, but that of {scheme!r} does not")
    while True:
        try:
            return await adapter.bus(BusSettings(prefix=prefix))
        except (BusUnavailable, OSError) as error:
            _LOGGER.warning("the bus is away: %s; trying again", error)
            await asyncio.sleep(_PAUSE_S)
