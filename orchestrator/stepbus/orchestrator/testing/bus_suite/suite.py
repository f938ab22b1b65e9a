"""The cases as pytest has them: one test a case, each on buses of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from uuid import uuid4

import pytest
import pytest_asyncio

from stepbus.orchestrator.ports import Bus, BusSettings
from stepbus.orchestrator.testing.bus_suite import outages
from stepbus.orchestrator.testing.bus_suite.bench import QUEUE, Bench, OpenBus
from stepbus.orchestrator.testing.bus_suite.cases import Case
from stepbus.orchestrator.testing.bus_suite.families import FAMILIES
from stepbus.orchestrator.testing.bus_suite.outages import Broker

_LONGEST_S = 180.0

Test = Callable[..., Awaitable[None]]


def tests_of(cases: Iterable[Case]) -> Mapping[str, Test]:
    """Give a test for each case, by its name; one with parameters where a case is tried with several values."""
    by_name: dict[str, list[Case]] = {}
    for case in cases:
        by_name.setdefault(f"test_{case.name}", []).append(case)
    return {name: _test_of(same) for name, same in by_name.items()}


def _test_of(cases: Sequence[Case]) -> Test:
    if not cases[0].value:

        async def test(self: Bench, settings: BusSettings) -> None:
            await cases[0].run(self, settings)

        return test

    @pytest.mark.parametrize("case", cases, ids=[repr(case.value[0])[:40] for case in cases])
    async def test_with_each(self: Bench, settings: BusSettings, case: Case) -> None:
        await case.run(self, settings)

    return test_with_each


class Fixtures(Bench):
    """What the tests of an adapter can ask for beside the cases."""

    @pytest.fixture
    def settings(self) -> BusSettings:
        """Settings under a prefix that no other case has."""
        return BusSettings(prefix=f"t{uuid4().hex[:16]}")

    @pytest_asyncio.fixture
    async def open_another(self, settings: BusSettings) -> AsyncIterator[OpenBus]:
        """What opens one more bus under the same prefix, closed after the test."""
        opened: list[Bus] = []

        async def open_another() -> Bus:
            opened.append(await self.open_bus(settings))
            return opened[-1]

        yield open_another
        for bus in opened:
            await bus.close()

    @pytest_asyncio.fixture
    async def bus(self, open_another: OpenBus) -> Bus:
        """A bus whose channels and one job queue are provisioned."""
        bus = await open_another()
        await bus.provision([QUEUE])
        return bus


class BusSuite(Fixtures):
    """All cases. A subclass says how its bus is opened and how a plain client would send to it."""

    def __init_subclass__(cls) -> None:
        """Make the tests of a subclass: all that there can be for its broker."""
        super().__init_subclass__()
        cases = [case for family in FAMILIES for case in family if not (case.is_for_processes and cls.is_in_process)]
        for name, test in tests_of(cases).items():
            setattr(cls, name, test)


class BrokerSuite(Fixtures, Broker):
    """The cases of outages, each on a server of its own. A subclass sets `server` before each test, by a fixture."""

    def __init_subclass__(cls) -> None:
        """Make the tests of a subclass."""
        super().__init_subclass__()
        for name, test in tests_of(outages.cases).items():
            setattr(cls, name, pytest.mark.timeout(cls.outage_s + _LONGEST_S)(test))
