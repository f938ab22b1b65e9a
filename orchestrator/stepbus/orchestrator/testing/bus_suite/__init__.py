"""What every bus must pass, whatever broker it speaks to: the promises of `ports.Bus`, case by case.

```python
class TestMyBus(BusSuite):
    redelivery_s = 1.0

    async def open_bus(self, settings: BusSettings) -> Bus: ...
    async def send_plainly(self, bus: Bus, address: str, body: bytes, headers: Mapping[str, str]) -> None: ...
```
"""

from stepbus.orchestrator.testing.bus_suite.hearing import Hearing
from stepbus.orchestrator.testing.bus_suite.opening import Opening
from stepbus.orchestrator.testing.bus_suite.publishing import Publishing
from stepbus.orchestrator.testing.bus_suite.receiving import Receiving
from stepbus.orchestrator.testing.bus_suite.redelivery import Redelivery
from stepbus.orchestrator.testing.bus_suite.sharing import Sharing

__all__ = ["BusSuite"]


class BusSuite(Publishing, Receiving, Redelivery, Sharing, Hearing, Opening):
    """All cases. A subclass says how its bus is opened and how a plain client would send to it."""
