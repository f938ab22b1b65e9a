"""What every bus must pass, whatever broker it speaks to: the promises of `ports.Bus`, case by case.

```python
class TestMyBus(BusSuite):
    redelivery_s = 1.0

    async def open_bus(self, settings: BusSettings) -> Bus: ...
    async def send_plainly(self, bus: Bus, address: str, body: bytes, headers: Mapping[str, str]) -> None: ...
```

`BrokerSuite` has the cases of outages, for which each test is given a server that it may kill: see `outages.Broker`.

The cases are plain functions in families, which pytest does not need to be there for: `stepbus bus doctor` tries them
on a user's own broker. The suite is imported when it is asked for, since it needs pytest.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepbus.orchestrator.testing.bus_suite.suite import BrokerSuite, BusSuite

__all__ = ["BrokerSuite", "BusSuite"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stepbus.orchestrator.testing.bus_suite import suite  # noqa: PLC0415 - see above

    return getattr(suite, name)
