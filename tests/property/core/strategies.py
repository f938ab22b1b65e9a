"""Templates and scripts of all kinds, small enough for every corner to be reached."""

from typing import Any

from hypothesis import strategies as st

from stepbus.contracts.template import TaskTemplate, from_mapping
from stepbus.orchestrator.testing.simulate import Script, StepScript

TIMEOUTS = ("100ms", "30s", "10m")
MOST_STEPS = 6


@st.composite
def retries(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "max_attempts": draw(st.sampled_from([1, 2, 3, 3])),
        "backoff": draw(st.sampled_from(["fixed", "linear", "exponential"])),
        "initial": draw(st.sampled_from(["0s", "1s", "20s", "20s"])),
        "max": draw(st.sampled_from(["20s", "20s", "1h"])),
        "factor": draw(st.sampled_from([1.0, 2.0, 10.5])),
        "jitter": draw(st.sampled_from([0.0, 0.1, 1.0])),
    }


@st.composite
def templates(draw: st.DrawFn, *, deadlines: bool = False) -> TaskTemplate:
    """Any graph without a cycle, its steps in any order."""
    names = [f"s{number}" for number in range(draw(st.integers(1, MOST_STEPS)))]
    steps = [
        {
            "name": name,
            "depends_on": draw(st.lists(st.sampled_from(names[:number]), unique=True, max_size=4)) if number else [],
            "retry": draw(retries()),
            "timeout": draw(st.sampled_from(TIMEOUTS)),
            "skippable": draw(st.sampled_from([False, False, True])),
        }
        for number, name in enumerate(names)
    ]
    document = {"name": "drawn", "version": "1.0.0", "steps": draw(st.permutations(steps))}
    if deadlines and draw(st.booleans()):
        document["timeout"] = draw(st.sampled_from(["1s", "1m", "1h"]))
    return from_mapping(document)


@st.composite
def scripts(draw: st.DrawFn, template: TaskTemplate) -> Script:
    """Workers that fail, fail for good, fall silent, repeat themselves and overtake each other."""
    step_scripts = st.builds(
        StepScript, fail=st.integers(0, 3), timeout=st.integers(0, 2), permanent=st.sampled_from([False, False, True])
    )
    names = st.sampled_from([step.name for step in template.steps])
    return Script(
        steps=draw(st.dictionaries(names, step_scripts)),
        seed=draw(st.integers(0, 2**32)),
        duplicates=draw(st.sampled_from([0.0, 0.3, 1.0])),
        shuffle=draw(st.booleans()),
    )
