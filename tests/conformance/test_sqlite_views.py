"""The views in a SQLite file against the suite of their port."""

from pathlib import Path

import pytest

from stepbus.adapters.sqlite import connect
from stepbus.orchestrator.ports import StoreUnavailable, ViewStore
from stepbus.orchestrator.testing.view_suite import SharedViewSuite


async def open_url(url: str) -> ViewStore:
    views = connect(url).views
    assert views is not None
    return await views()


class TestSqliteViews(SharedViewSuite):
    @pytest.fixture(autouse=True)
    def fresh_folder(self, tmp_path: Path) -> None:
        self.url = f"sqlite://{tmp_path}/log.db"

    async def open_views(self) -> ViewStore:
        return await open_url(self.url)


async def test_the_views_have_a_file_of_their_own_beside_the_log(tmp_path: Path) -> None:
    views = await open_url(f"sqlite://{tmp_path}/tasks.db")
    await views.close()

    assert names_in(tmp_path) == ["tasks-views.db"]


def names_in(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=f"expected a folder {tmp_path}/missing"):
        await open_url(f"sqlite://{tmp_path}/missing/log.db")
