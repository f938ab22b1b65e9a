"""The views in memory against the suite of their port."""

from stepbus.adapters.memory import connect
from stepbus.orchestrator.ports import ViewStore
from stepbus.orchestrator.testing.view_suite import ViewSuite


class TestMemoryViews(ViewSuite):
    async def open_views(self) -> ViewStore:
        views = connect("memory:").views
        assert views is not None
        return await views()
