"""What every view store must pass, whatever database keeps it: the promises of `ports.ViewStore`, case by case.

```python
class TestMyViews(SharedViewSuite):
    @pytest.fixture(autouse=True)
    def fresh_database(self, tmp_path: Path) -> None:
        self.url = f"mine:{tmp_path}/views"

    async def open_views(self) -> ViewStore: ...
```

`SharedViewSuite` has the cases of views that can be opened again and by several, `ViewSuite` all others.
"""

from stepbus.orchestrator.testing.view_suite.applying import Applying
from stepbus.orchestrator.testing.view_suite.querying import Querying
from stepbus.orchestrator.testing.view_suite.sharing import Sharing
from stepbus.orchestrator.testing.view_suite.using import Using

__all__ = ["SharedViewSuite", "ViewSuite"]


class ViewSuite(Applying, Querying, Using):
    """All cases of views that one store has to itself. A subclass says how they are opened."""


class SharedViewSuite(ViewSuite, Sharing):
    """The cases of one store, and those of several on the same views."""
