"""A simulated task: its history is lawful, and is the one that its script foretells."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepbus.contracts import events as e
from stepbus.contracts.problems import Refused
from stepbus.contracts.template import StepTemplate, TaskTemplate
from stepbus.orchestrator.core.evolve import fold
from stepbus.orchestrator.core.state import TaskState
from stepbus.orchestrator.testing.simulate import Script, Simulation, StepScript, simulate
from tests.property.core.legal import Transition, unlawful
from tests.property.core.strategies import scripts, templates
from tests.unit.core.examples import chain, layers, many_roots, step, template

DIAMOND = template("a", "b < a", "c < a", "d < b c")
LARGE: list[Callable[[], TaskTemplate]] = [
    lambda: chain(6_000),
    lambda: many_roots(1_100),
    lambda: layers(250, 4),
    lambda: layers(3, 120),
]
LARGE_NAMES = ["a chain of 6,000", "1,100 roots into a join", "1,000 steps of 4 edges", "3 layers of 120 by 120"]


def foretold(template: TaskTemplate, script: Script) -> Counter[Transition]:
    """The transitions that the script leads to, in whatever order; for a template without a deadline."""
    steps = {step.name: step for step in template.steps}
    told: Counter[Transition] = Counter()
    succeeded: dict[str, bool] = {}
    waiting = list(steps)
    while waiting:  # steps of a template can stand in any order
        name = waiting.pop(0)
        needed = steps[name].depends_on
        if not all(dependency in succeeded for dependency in needed):
            waiting.append(name)
            continue
        succeeded[name] = False
        if all(succeeded[dependency] for dependency in needed):
            own = list(of_step(steps[name], script.steps.get(name, StepScript())))
            told.update(own)
            succeeded[name] = own[-1][0] == "StepCompleted"
    told["TaskCompleted" if all(succeeded.values()) else "TaskFailed", "", 0] += 1
    return told


def of_step(step: StepTemplate, script: StepScript) -> Iterable[Transition]:
    for attempt in range(1, step.retry.max_attempts + 1):
        yield "StepDispatched", step.name, attempt
        if attempt <= script.timeout:
            yield "StepTimedOut", step.name, attempt
        elif attempt <= script.timeout + script.fail:
            yield "StepFailed", step.name, attempt
        else:
            yield ("StepFailed" if script.permanent else "StepCompleted"), step.name, attempt
            return


def as_bytes(simulation: Simulation) -> bytes:
    """The history in the form in which it is stored, with its times."""
    meta = [e.Metadata(at_ms=at_ms) for at_ms, _ in simulation.history]
    records = [e.Record(1, told, (event,)) for told, (_, event) in zip(meta, simulation.history, strict=True)]
    return b"\n".join(map(e.encode_record, records))


@settings(max_examples=100)
@given(data=st.data(), template=templates())
def test_a_history_is_lawful_and_the_one_that_its_script_foretells(data: st.DataObject, template: TaskTemplate) -> None:
    script = data.draw(scripts(template))

    simulation = simulate(template, script)

    history = list(simulation.events)
    assert unlawful(template, history) == []
    assert Counter(history) == foretold(template, script)


@settings(max_examples=40)
@given(data=st.data(), template=templates(deadlines=True))
def test_a_history_with_a_deadline_is_lawful(data: st.DataObject, template: TaskTemplate) -> None:
    simulation = simulate(template, data.draw(scripts(template)))

    assert unlawful(template, simulation.events) == []


@settings(max_examples=30)
@given(data=st.data(), template=templates(deadlines=True))
def test_a_seed_gives_one_history_and_its_replay_the_state_it_led_to(
    data: st.DataObject, template: TaskTemplate
) -> None:
    script = data.draw(scripts(template))

    first, second = simulate(template, script), simulate(template, script)

    assert as_bytes(first) == as_bytes(second)
    state = first.state
    replayed = fold(TaskState.blank(state.task_id, state.plan), (event for _, event in first.history))
    replayed.version = state.version
    assert replayed.digest() == state.digest() == second.state.digest()


@settings(max_examples=30)
@given(data=st.data(), template=templates())
def test_no_event_happens_before_the_one_it_follows(data: st.DataObject, template: TaskTemplate) -> None:
    times = [at_ms for at_ms, _ in simulate(template, data.draw(scripts(template))).history]

    assert times == sorted(times)


@pytest.mark.parametrize("make", LARGE, ids=LARGE_NAMES)
def test_a_large_task_goes_to_its_end(make: Callable[[], TaskTemplate]) -> None:
    large, script = make(), Script(seed=3, shuffle=True, duplicates=0.2)

    history = list(simulate(large, script).events)

    assert unlawful(large, history) == []
    assert Counter(history) == foretold(large, script)
    assert history[-1] == ("TaskCompleted", "", 0)


@pytest.mark.parametrize("make", LARGE, ids=LARGE_NAMES)
def test_a_large_task_with_a_failure_does_all_that_does_not_need_it(make: Callable[[], TaskTemplate]) -> None:
    large = make()
    names = [step.name for step in large.steps]
    broken = {names[len(names) // 2]: StepScript(permanent=True), names[3]: StepScript(fail=1, timeout=1)}
    script = Script(steps=broken, seed=4, shuffle=True)

    history = list(simulate(large, script).events)

    assert unlawful(large, history) == []
    assert Counter(history) == foretold(large, script)
    assert history[-1] == ("TaskFailed", "", 0)


def test_answers_overtake_each_other_when_shuffled_and_seeds_differ() -> None:
    wide = template(*(f"s{number}" for number in range(20)))

    histories = {tuple(simulate(wide, Script(seed=seed, shuffle=True)).events) for seed in range(5)}

    assert len(histories) == 5
    in_order = [name for event, name, _ in simulate(wide, Script()).events if event == "StepCompleted"]
    assert in_order == [f"s{number}" for number in range(20)]


def test_a_duplicate_changes_nothing_but_the_chance_of_what_comes_later() -> None:
    once, twice = (simulate(DIAMOND, Script(duplicates=share)) for share in (0.0, 1.0))

    assert list(once.events) == list(twice.events)


def test_a_schema_that_no_simulated_result_could_keep_is_left_out() -> None:
    strict = template(
        step("a", result_schema={"required": ["id"]}, error_schema=False), context_schema={"required": ["id"]}
    )

    history = list(simulate(strict, Script(steps={"a": StepScript(fail=1)})).events)

    assert history[-1] == ("TaskCompleted", "", 0)


def test_a_script_that_names_no_step_is_refused_with_each_wrong_name() -> None:
    with pytest.raises(Refused) as refusal:
        simulate(DIAMOND, Script(steps={"a": StepScript(), "x/y": StepScript(), "z": StepScript()}))

    assert [(problem.code, problem.pointer) for problem in refusal.value.problems] == [
        ("script.unknown_step", "/steps/x~1y"),
        ("script.unknown_step", "/steps/z"),
    ]


@pytest.mark.parametrize(
    "value",
    [
        {"steps": {"a": {"fail": -1}}},
        {"steps": {"a": {"fails": 1}}},
        {"duplicates": 1.5},
        {"seed": "7"},
        {"unknown": 1},
        [],
    ],
)
def test_a_script_of_another_form_is_refused(value: object) -> None:
    with pytest.raises(Refused, match=r"script\."):
        Script.read(value)


def test_a_script_is_read_from_a_document() -> None:
    document = {"steps": {"a": {"fail": 2}, "b": {"permanent": True}}, "seed": 7, "duplicates": 0.2, "shuffle": True}

    script = Script.read(document)

    assert (script.steps["a"].fail, script.steps["b"].permanent, script.seed) == (2, True, 7)
    assert (script.duplicates, script.shuffle) == (0.2, True)


@pytest.mark.parametrize("whole", [{"duplicates": 1}, {"duplicates": 0}])
def test_a_share_may_be_a_whole_number(whole: object) -> None:
    assert Script.read(whole).duplicates in (0.0, 1.0)


def test_the_order_of_hashes_in_a_process_does_not_matter() -> None:
    code = (
        "from tests.unit.core.examples import template\n"
        "from stepbus.orchestrator.testing.simulate import Script, simulate\n"
        "wide = template(*(f's{n}' for n in range(30)), 'join < ' + ' '.join(f's{n}' for n in range(30)))\n"
        "simulation = simulate(wide, Script(seed=5, shuffle=True, duplicates=0.5))\n"
        "print(list(simulation.events), simulation.state.digest())"
    )

    told = {
        subprocess.run(
            (sys.executable, "-c", code),
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(told) == 1
    assert "'TaskCompleted'" in told.pop()
