"""What every log must pass, whatever database keeps it: the promises of `ports.EventStore`, case by case.

```python
class TestMyStore(SharedStoreSuite):
    @pytest.fixture(autouse=True)
    def fresh_database(self, tmp_path: Path) -> None:
        self.url = f"mine:{tmp_path}/log"

    async def open_store(self) -> EventStore: ...
    async def open_other_log(self) -> EventStore: ...
```

`SharedStoreSuite` has the cases of a log that several processes may open, `StoreSuite` all others.
"""

from stepbus.orchestrator.testing.store_suite.appending import Appending
from stepbus.orchestrator.testing.store_suite.closing import Closing
from stepbus.orchestrator.testing.store_suite.contending import Contending
from stepbus.orchestrator.testing.store_suite.keeping import Keeping
from stepbus.orchestrator.testing.store_suite.leasing import Leasing
from stepbus.orchestrator.testing.store_suite.processes import AcrossProcesses
from stepbus.orchestrator.testing.store_suite.reading import Reading
from stepbus.orchestrator.testing.store_suite.tailing import Tailing

__all__ = ["SharedStoreSuite", "StoreSuite"]


class StoreSuite(Appending, Contending, Reading, Tailing, Keeping, Leasing, Closing):
    """All cases of a log in one process. A subclass says how it is opened."""


class SharedStoreSuite(StoreSuite, AcrossProcesses):
    """The cases of one process, and those of several; a subclass says the `url` too."""
