"""The bus on RabbitMQ."""

from stepbus.adapters.rabbitmq.settings import parse
from stepbus.contracts.urls import demand_certificates
from stepbus.orchestrator.ports import Adapter, Bus, BusSettings


def connect(url: str) -> Adapter:
    """Give the bus behind `amqp://…` or `amqps://…`.

    Raises:
        Refused: the URL is not one of this adapter's, or the certificates that it names can't be read.
    """
    settings = parse(url)
    demand_certificates(settings.tls_ca)

    async def bus(bus_settings: BusSettings) -> Bus:
        from stepbus.adapters.rabbitmq.bus import RabbitBus

        bus = RabbitBus(settings, bus_settings)
        await bus.open()
        return bus

    return Adapter(bus=bus)
