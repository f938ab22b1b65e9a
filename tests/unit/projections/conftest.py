"""A log and views in memory for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.support.projected import Projected, projected


@pytest.fixture
async def log() -> AsyncIterator[Projected]:
    async with projected() as found:
        yield found
