"""One story, told on any bus and store: tasks, answers, repeats, delays and deaths that a seed decides.

What a task's history must be is said by the pure model (`simulate`), which knows neither bus nor store.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from uuid import UUID

from stepbus.contracts import codec
from stepbus.contracts import events as e
from stepbus.contracts.template import TaskTemplate, from_mapping
from stepbus.orchestrator.ports import Bus, Delivery, EventStore, Outgoing, Sent
from stepbus.orchestrator.runtime.serve import Limits, Serving
from stepbus.orchestrator.testing.simulate import REPORTED, Script, StepScript, simulate
from tests.support.mortal import Life, MortalBus, MortalStore
from tests.support.world import cloud_event

PARTITIONS = 4
RESULTS = tuple(f"results.{number}" for number in range(PARTITIONS))
QUEUE = "differential"
PATIENCE_S = 150.0
_LONGEST_DELAY_S = 0.03
_BATCH = 20

ENDS = frozenset({"TaskCompleted", "TaskFailed", "TaskCancelled"})
BAD = (
    b"no JSON",
    b'{"specversion": "1.0"}',
    b'{"specversion": "1.0", "id": "1", "source": "/x", "type": "task.unheard_of"}',
)
"""What cannot be applied, and must lie in quarantine at the end."""

History = Mapping[str, Sequence[tuple[str, int]]]
"""What happened in a task: by step, `""` for the task itself, the events and attempts in their order.

Steps that do not depend on each other have no order among them; each step's own order, and what the task came to, are
the same on every bus and store.
"""


def _template(name: str, timeout: str, **dependencies: Sequence[str]) -> TaskTemplate:
    retry = {"max_attempts": 4, "initial": "10ms", "max": "50ms", "jitter": 0}
    steps = [
        {"name": step, "handler": "differential.work", "queue": QUEUE, "depends_on": list(on)}
        for step, on in dependencies.items()
    ]
    document = {"name": name, "version": "1.0.0", "defaults": {"timeout": timeout, "retry": retry}, "steps": steps}
    return from_mapping(document)


CHAIN = _template("chain", "5m", a=(), b=("a",), c=("b",), d=("c",))
DIAMOND = _template("diamond", "5m", top=(), left=("top",), right=("top",), bottom=("left", "right"))
WIDE = _template("wide", "5m", begin=(), **{f"w{n}": ("begin",) for n in range(8)}, end=[f"w{n}" for n in range(8)])
SILENT = _template("silent", "4s", first=(), then=("first",))
"""Its workers leave attempts unanswered: each costs the timeout."""

TEMPLATES = (CHAIN, DIAMOND, WIDE, SILENT)


@dataclass(frozen=True, slots=True)
class Part:
    """One task of a story and how its workers behave."""

    task_id: UUID
    template: TaskTemplate
    script: Script

    def history(self) -> History:
        """Give what the model says must happen."""
        return normalised(simulate(self.template, self.script).events)


@dataclass(frozen=True, slots=True)
class Story:
    """What a seed decides."""

    seed: int
    parts: Mapping[UUID, Part]
    deaths: Sequence[tuple[int, str]]
    """After how many answered jobs who dies: the coordinator or the worker."""

    @classmethod
    def of(cls, seed: int, tasks: int = 40) -> "Story":
        """Make the story of a seed."""
        chance = Random(seed)  # noqa: S311 - the same each time is what is wanted
        parts = {}
        for number in range(tasks):
            task_id = UUID(int=chance.getrandbits(128), version=4)
            template = SILENT if number < 3 else chance.choice((CHAIN, DIAMOND, WIDE))
            parts[task_id] = Part(task_id, template, _script(template, chance))
        kinds = ("coordinator", "worker", "coordinator", "worker", "coordinator")
        marks = sorted(chance.sample(range(5, 3 * tasks), len(kinds)))
        return cls(seed, parts, tuple(zip(marks, kinds, strict=True)))

    def chance(self, *of: object) -> Random:
        """Give the chance that is had of these, whoever asks and whenever."""
        text = "/".join(map(str, (self.seed, *of)))
        return Random(sha256(text.encode()).digest())  # noqa: S311 - as above


def _script(template: TaskTemplate, chance: Random) -> Script:
    steps = {}
    for step in template.steps:
        if template is SILENT:
            steps[step.name] = StepScript(timeout=chance.randint(0, 1))
        elif (roll := chance.random()) < 0.3:
            steps[step.name] = StepScript(fail=chance.randint(1, 4))
        elif roll < 0.35:
            steps[step.name] = StepScript(fail=chance.randint(0, 2), permanent=True)
    return Script(steps=steps)


def normalised(events: Iterable[tuple[str, str, int]]) -> History:
    """Give a history in which only the order within each step is left."""
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for name, step, attempt in events:
        found[step].append((name, attempt))
    return dict(found)


async def history_of(store: EventStore, task_id: UUID) -> History:
    """Give what the log says happened in a task."""
    stored = await store.read_stream(task_id)
    events = [event for entry in stored for event in e.decode_record(entry.data).events]
    told = [event for event in events if type(event) in REPORTED]
    return normalised([(event.TYPE, getattr(event, "step", ""), getattr(event, "attempt", 0)) for event in told])


OpenBus = Callable[[], Awaitable[Bus]]


class Stage:
    """A store and a bus on which a story is played: by coordinators that die, and by a worker that does."""

    def __init__(self, story: Story, store: EventStore, open_bus: OpenBus) -> None:
        self.story = story
        self.answered = 0
        self._store = store
        self._open_bus = open_bus
        self._deaths = list(story.deaths)
        self._dies = {"coordinator": asyncio.Event(), "worker": asyncio.Event()}

    async def play(self) -> Mapping[UUID, History]:
        """Play the whole story, and give what the log says of each task."""
        client = await self._open_bus()
        await client.provision([QUEUE])
        await self._register(client)
        living = [asyncio.create_task(self._coordinators()), asyncio.create_task(self._workers())]
        try:
            await self._ask(client)
            async with asyncio.timeout(PATIENCE_S):
                while not await self._is_over():
                    for one in living:
                        if one.done():
                            one.result()
                    await asyncio.sleep(0.1)
        finally:
            for one in living:
                one.cancel()
            await asyncio.gather(*living, return_exceptions=True)
            await client.close()
        return {task_id: await history_of(self._store, task_id) for task_id in self.story.parts}

    @property
    def deaths_left(self) -> int:
        """Give how many deaths of the story did not come."""
        return len(self._deaths)

    async def _register(self, bus: Bus) -> None:
        serving = await Serving.open(self._store, bus, PARTITIONS, None, Limits())
        serving.begin()
        for template in TEMPLATES:
            await serving.desk.register(template.canonical(), "operator/test")
        await asyncio.gather(*(part.end() for part in serving.parts.values()))

    async def _ask(self, bus: Bus) -> None:
        """Ask for every task twice, and send what can't be applied among it."""
        for part in self.story.parts.values():
            data = {"template": part.template.name, "task_id": str(part.task_id)}
            request = cloud_event("task.requested", data, f"request-{part.task_id}")
            outgoing = [Outgoing("tasks", f"{part.task_id}/{number}", request, str(part.task_id)) for number in (1, 2)]
            assert await bus.publish(outgoing) == [Sent(), Sent()]
        bad = [Outgoing("tasks", f"bad/{number}", body) for number, body in enumerate(BAD)]
        assert await bus.publish(bad) == [Sent()] * len(bad)

    async def _is_over(self) -> bool:
        if len(await self._store.read(0, 100, e.QUARANTINE)) < len(BAD):
            return False
        for task_id in self.story.parts:
            if not ENDS.intersection(name for name, _ in (await history_of(self._store, task_id)).get("", ())):
                return False
        return True

    async def _coordinators(self) -> None:
        while True:
            self._dies["coordinator"].clear()
            await self._coordinate(Life())

    async def _coordinate(self, life: Life) -> None:
        """Be a coordinator until its death, which leaves everything as it is."""
        bus = MortalBus(await self._open_bus(), life)
        serving = None
        try:
            serving = await Serving.open(MortalStore(self._store, life), bus, PARTITIONS, None, Limits())
            await serving.coordinate()
            serving.begin()
            await self._dies["coordinator"].wait()
        finally:
            life.met.set()
            if serving is not None:
                await asyncio.gather(*(part.end() for part in serving.parts.values()))
            await bus.close()

    async def _workers(self) -> None:
        while True:
            self._dies["worker"].clear()
            bus = await self._open_bus()
            working = asyncio.create_task(self._work(bus))
            dying = asyncio.create_task(self._dies["worker"].wait())
            try:
                await asyncio.wait([working, dying], return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    working.result()
            finally:
                for one in (working, dying):
                    one.cancel()
                await asyncio.gather(working, dying, return_exceptions=True)
                await bus.close()

    async def _work(self, bus: Bus) -> None:
        jobs = await bus.subscribe(f"jobs.{QUEUE}", "worker")
        async with asyncio.TaskGroup() as group:
            while True:
                for delivery in await jobs.receive(_BATCH, 1.0):
                    group.create_task(self._answer(bus, delivery, jobs.ack))

    async def _answer(self, bus: Bus, delivery: Delivery, ack: Callable[[Sequence[Delivery]], Awaitable[None]]) -> None:
        job = codec.decode(delivery.body)["data"]
        task_id, step, attempt = UUID(job["task_id"]), job["step"], job["attempt"]
        chance = self.story.chance(task_id, step, attempt)
        await asyncio.sleep(chance.random() * _LONGEST_DELAY_S)
        (channel,) = [name for name in RESULTS if bus.address(name) == job["replyto"]]
        answers = [self._answer_to(job, attempt)] * chance.choice((1, 1, 1, 2, 3))
        if attempt > 1 and chance.random() < 0.5:
            answers.insert(0, self._answer_to(job, attempt - 1))  # too late: its attempt is over
        outgoing = [
            Outgoing(channel, f"{task_id}/{step}/{attempt}/{number}/{delivery.count}", body, str(task_id))
            for number, body in enumerate(answers)
            if body is not None
        ]
        if all(isinstance(sent, Sent) for sent in await bus.publish(outgoing)):
            await ack([delivery])
            self._note_answer()

    def _answer_to(self, job: Mapping[str, object], attempt: int) -> bytes | None:
        task_id, step = UUID(str(job["task_id"])), str(job["step"])
        script = self.story.parts[task_id].script.steps.get(step, StepScript())
        if attempt <= script.timeout:
            return None
        data = {name: job[name] for name in ("task_id", "step", "token")} | {"attempt": attempt, "worker": "w"}
        failed = attempt <= script.timeout + script.fail
        if failed or script.permanent:
            error = {"code": "scripted", "message": "the story says so", "retryable": failed}
            return cloud_event("step.failed", data | {"error": error}, f"{task_id}/{step}/{attempt}")
        return cloud_event("step.completed", data | {"result": {}}, f"{task_id}/{step}/{attempt}")

    def _note_answer(self) -> None:
        self.answered += 1
        if self._deaths and self.answered >= self._deaths[0][0]:
            self._dies[self._deaths.pop(0)[1]].set()
