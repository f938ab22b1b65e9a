"""The bus on Redis Streams."""

from stepbus.adapters.redis.settings import parse
from stepbus.contracts.urls import demand_certificates
from stepbus.orchestrator.ports import Adapter, Bus, BusSettings


def connect(url: str) -> Adapter:
    """Give the bus behind `redis://…` or `rediss://…`.

    Raises:
        Refused: the URL is not one of this adapter's, or the certificates that it names can't be read.
    """
    settings = parse(url)
    demand_certificates(settings.tls_ca)

    async def bus(bus_settings: BusSettings) -> Bus:
        from stepbus.adapters.redis.bus import RedisBus

        bus = RedisBus(settings, bus_settings)
        await bus.open()
        return bus

    return Adapter(bus=bus)
