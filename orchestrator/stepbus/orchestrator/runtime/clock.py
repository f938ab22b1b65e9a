"""The store's clock, without asking the store each time."""

from time import monotonic

from stepbus.orchestrator.ports import EventStore

_TRUST_S = 10.0


class StoreClock:
    """Gives the store's time: read now and then, and carried on by this machine's monotonic clock in between."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._read_ms = 0
        self._read_at = 0.0

    async def refresh(self) -> None:
        """Read the store's clock, unless that was done a moment ago."""
        if self._read_ms == 0 or monotonic() - self._read_at > _TRUST_S:
            self._read_ms = await self._store.now_ms()
            self._read_at = monotonic()

    def now_ms(self) -> int:
        """Give the time, in milliseconds since the Unix epoch."""
        return self._read_ms + int((monotonic() - self._read_at) * 1000)
