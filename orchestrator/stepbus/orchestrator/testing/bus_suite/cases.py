"""What a case is, the list that each one joins where it is written, and the trial that it is given.

A case is a plain function, so that pytest and `stepbus bus doctor` run the same code.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from stepbus.orchestrator.ports import Bus, BusSettings
from stepbus.orchestrator.testing.bus_suite.bench import QUEUE, Bench

Check = Callable[..., Awaitable[None]]
_Function = TypeVar("_Function", bound=Check)


@dataclass
class Trial:
    """What a case works with: a bus under a prefix of its own, more buses on its broker, and what is known of it."""

    bench: Bench
    settings: BusSettings
    opened: list[Bus] = field(default_factory=list)

    @property
    def bus(self) -> Bus:
        """The first bus of the trial."""
        return self.opened[0]

    async def another(self, settings: BusSettings | None = None) -> Bus:
        """Open one more bus, under the same prefix unless told otherwise; it is closed after the case."""
        self.opened.append(await self.bench.open_bus(settings or self.settings))
        return self.opened[-1]

    @property
    def redelivery_s(self) -> float:
        """How long a message may be out un-acked before it is delivered again."""
        return self.bench.redelivery_s

    @property
    def largest_body(self) -> int:
        """A body of so many bytes is sent whole; one of four times as many is over the broker's limit."""
        return self.bench.largest_body

    @property
    def knows_duplicates(self) -> bool:
        """Whether a message that is sent twice under one id is delivered once."""
        return self.bench.knows_duplicates

    async def send_plainly(self, address: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send as a client would that has nothing of ours."""
        await self.bench.send_plainly(self.bus, address, body, headers)


@dataclass(frozen=True)
class Case:
    """One promise, tried once. `title` is the sentence that holds; see `Family.case` for the kinds."""

    family: str
    name: str
    check: Check
    value: tuple[Any, ...] = ()
    is_bare: bool = False
    is_plain: bool = False
    is_for_processes: bool = False

    @property
    def id(self) -> str:
        """Give the case's name among all, as `family.name`, with its value if it is tried with several."""
        ending = f"-{self.value[0]!r:.40}" if self.value else ""
        return f"{self.family}.{self.name}{ending}"

    @property
    def title(self) -> str:
        """Give what the case says, as a sentence."""
        ending = f": {self.value[0]!r:.60}" if self.value else ""
        return self.name.replace("_", " ") + ending

    async def run(self, bench: Bench, settings: BusSettings) -> None:
        """Try it on a bus of its own.

        Raises:
            Broken: the promise is not kept.
        """
        async with _trial(bench, settings, is_bare=self.is_bare) as trial:
            await self.check(trial, *self.value)


class Family(list[Case]):
    """The cases of one kind of promise, in the order in which they are written."""

    def __init__(self, name: str, promise: str) -> None:
        super().__init__()
        self.name = name
        self.promise = promise

    def case(
        self,
        *,
        each: Sequence[Any] = (),
        bare: bool = False,
        plain: bool = False,
        processes: bool = False,
    ) -> Callable[[_Function], _Function]:
        """Add the decorated check as a case, or as one for each value.

        A bare one finds nothing provisioned; a plain one needs a client that has nothing of ours; one of processes
        kills another process that is connected to the broker.
        """

        def add(check: _Function) -> _Function:
            name = cast("Any", check).__name__
            values: Sequence[tuple[Any, ...]] = [(one,) for one in each] or [()]
            for value in values:
                case = Case(self.name, name, check, value, is_bare=bare, is_plain=plain, is_for_processes=processes)
                self.append(case)
            return check

        return add


@asynccontextmanager
async def _trial(bench: Bench, settings: BusSettings, *, is_bare: bool) -> AsyncIterator[Trial]:
    trial = Trial(bench, settings)
    try:
        bus = await trial.another()
        if not is_bare:
            await bus.provision([QUEUE])
        yield trial
    finally:
        for bus in trial.opened:
            await bus.close()
