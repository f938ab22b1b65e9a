"""What the views say of a task is what the coordinator has in memory, whatever happened and however it was read."""

from collections.abc import Callable, Iterator
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from stepbus.contracts import events as e
from stepbus.contracts.messages import StepError
from stepbus.contracts.template import TaskTemplate
from stepbus.orchestrator.core import commands as c
from stepbus.orchestrator.core.decide import decide
from stepbus.orchestrator.core.evolve import fold
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.core.state import SATISFIED, StepStatus, TaskState
from stepbus.projections.attempts import ATTEMPTS
from stepbus.projections.feed import Feed
from stepbus.projections.follow import Follower
from stepbus.projections.history import HISTORY
from stepbus.projections.queries.steps import open_dependencies
from stepbus.projections.queries.tasks import list_history
from stepbus.projections.steps import STEPS
from stepbus.projections.tasks import TASKS
from tests.property.core.strategies import templates
from tests.support.projected import TASK, Projected, projected, registered

MOST_COMMANDS = 60
ERROR = StepError(code="drawn")


def command(random: Random, state: TaskState, at_ms: int) -> c.Command:
    """Give something that could happen now, or that makes no sense now."""
    step = random.choice(state.plan.steps)
    attempt = max(state.attempts[state.plan.index[step.name]] - random.choice([0, 0, 0, 1]), 1)
    retryable = ERROR.model_copy(update={"retryable": random.random() < 0.7})
    makers: tuple[Callable[[], c.Command], ...] = (
        *[lambda: c.CompleteStep(TASK, step.name, attempt, {"n": at_ms}, at_ms)] * 4,
        *[lambda: c.FailStep(TASK, step.name, attempt, retryable, at_ms)] * 2,
        lambda: c.RecordHeartbeat(TASK, step.name, attempt, at_ms, at_ms),
        lambda: c.TimeOutStep(TASK, step.name, attempt, at_ms + step.timeout),
        *[lambda: c.DispatchRetry(TASK, step.name, attempt, at_ms + 3_600_000)] * 2,
        lambda: c.RetryStep(TASK, step.name, "drawn", at_ms),
        lambda: c.ResolveStep(TASK, step.name, None, "drawn", at_ms),
    )
    rare: tuple[Callable[[], c.Command], ...] = (
        lambda: c.CancelTask(TASK, "drawn", at_ms),
        lambda: c.ResolveTask(TASK, "drawn", at_ms),
        lambda: c.TimeOutTask(TASK, at_ms + 3_600_000),
    )
    return random.choice(rare if random.random() < 0.02 else makers)()


def happenings(random: Random, template: TaskTemplate) -> Iterator[tuple[tuple[e.Event, ...], TaskState]]:
    """Give the decisions of a task's life, each with the state after it."""
    state = TaskState.blank(TASK, Plan.of(template))
    skippable = [step.name for step in template.steps if step.skippable and random.random() < 0.5]
    asked: c.Command = c.RequestTask(TASK, state.plan, {}, "request", 1000, bypass_steps=tuple(skippable))
    for number in range(MOST_COMMANDS):
        events = decide(state, asked).events
        if events:
            state = fold(state, events)
            state.version += 1
            yield events, state
        asked = command(random, state, 2000 + number)


async def demand_same(log: Projected, state: TaskState) -> None:
    """See that the views say what the state says."""
    task = await log.row("SELECT status, satisfied_steps, total_steps FROM view_tasks")
    assert tuple(task.values()) == (state.status.value, state.satisfied, len(state.plan.steps))
    rows = {row["step"]: row for row in await log.rows("SELECT step, state, attempt, max_attempts FROM view_steps")}
    waits = await open_dependencies(log.views, TASK, 0, len(rows))
    for number, step in enumerate(state.plan.steps):
        status = StepStatus(state.step_status[number])
        row = rows[step.name]
        assert row["state"] == status.name.lower()
        assert (row["attempt"], row["max_attempts"]) == (state.attempts[number], state.max_attempts(number))
        needed = [name for name in step.depends_on if state.step_status[state.plan.index[name]] not in SATISFIED]
        if status == StepStatus.PENDING:
            assert sorted(waits.get(step.name, ())) == sorted(needed)
            assert len(needed) == state.waiting[number]
    in_hand = await log.rows("SELECT step FROM view_attempts WHERE ended_at_ms IS NULL")
    assert sorted(row["step"] for row in in_hand) == sorted(
        state.plan.steps[number].name
        for number, status in enumerate(state.step_status)
        if status in (StepStatus.DISPATCHED, StepStatus.IN_PROGRESS)
    )


@settings(max_examples=60)
@given(template=templates(), seed=st.integers(0, 2**32), batch=st.integers(1, 30))
async def test_the_views_of_any_life_of_a_task_say_what_its_state_says(
    template: TaskTemplate, seed: int, batch: int
) -> None:
    random = Random(seed)  # noqa: S311 - not a secret; drawn values would be small too often
    async with projected() as log:
        await log.given(registered(template), stream=e.CATALOGUE_STREAM, category=e.CATALOGUE)
        decisions = list(happenings(random, template))
        for events, _ in decisions:
            await log.given(*events)
        history = [event for events, _ in decisions for event in events]
        feed = Feed(log.store, batch=batch, pace_s=0)
        for projection in (TASKS, STEPS, ATTEMPTS, HISTORY):
            await log.views.create(projection.ddl)
            await Follower(projection, feed, log.views).catch_up(await log.store.head())
        await feed.close()

        await demand_same(log, decisions[-1][1])
        facts, _ = await list_history(log.views, TASK, None, 10_000)
        assert [fact.event for fact in facts] == history
        assert [fact.sequence for fact in facts] == list(range(1, len(history) + 1))
