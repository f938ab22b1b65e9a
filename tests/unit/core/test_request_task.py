"""A task is asked for: it is accepted with its first steps on their way, or refused with every reason."""

from stepbus.contracts import events as e
from tests.unit.core.examples import NOW, accepted, dispatched, request, step, stories

FORK = stories("a", "b", "c < a b")
SKIPPABLE = stories(
    "a",
    step("b < a", skippable=True),
    "c < b",
    step("d < a", skippable=True),
    "e < b d",
)


def test_all_roots_are_dispatched_with_the_acceptance() -> None:
    FORK().when(request(FORK)).then(accepted(FORK), dispatched("a"), dispatched("b")).then_state(
        "in_progress", a="dispatched", b="dispatched", c="pending"
    )


def test_what_came_with_the_request_is_kept() -> None:
    asked = request(FORK, context={"cart": [1, 2]}, replyto="_INBOX.client")

    FORK().when(asked).then(
        accepted(FORK, context={"cart": [1, 2]}, replyto="_INBOX.client"), dispatched("a"), dispatched("b")
    )


def test_a_repeated_request_decides_nothing() -> None:
    FORK(accepted(FORK), dispatched("a"), dispatched("b")).when(request(FORK)).then()


def test_a_repeated_request_with_another_content_decides_nothing() -> None:
    FORK(accepted(FORK), dispatched("a"), dispatched("b")).when(request(FORK, context={"other": True})).then()


def test_the_deadline_of_the_template_starts_with_the_acceptance() -> None:
    given = stories("a", timeout="2m")

    given().when(request(given)).then(accepted(given, deadline_at_ms=NOW + 120_000), dispatched("a"))


def test_the_deadline_of_the_request_goes_before_that_of_the_template() -> None:
    given = stories("a", timeout="2m")

    given().when(request(given, timeout_ms=5)).then(accepted(given, deadline_at_ms=NOW + 5), dispatched("a"))


def test_each_attempt_has_the_timeout_of_its_step() -> None:
    given = stories(step("a", timeout="7s"))

    given().when(request(given)).then(accepted(given), dispatched("a", timeout=7_000))


def test_a_context_that_breaks_its_schema_is_refused_with_each_reason() -> None:
    schema = {
        "type": "object",
        "required": ["id"],
        "properties": {"amount": {"type": "number"}},
        "additionalProperties": False,
    }
    given = stories("a", context_schema=schema)

    outcome = given().when(request(given, context={"amount": "ten"}))

    assert outcome.decision.rejection is not None
    problems = outcome.decision.rejection.problems
    assert {problem.pointer for problem in problems} >= {"/context", "/context/amount"}
    outcome.refused(*(problem.code for problem in problems), kind="invalid").then_state("pending", a="pending")


def test_a_context_that_keeps_its_schema_is_accepted() -> None:
    given = stories("a", context_schema={"required": ["id"]})

    given().when(request(given, context={"id": 1})).then(accepted(given, context={"id": 1}), dispatched("a"))


def test_a_bypassed_step_is_satisfied_and_what_waits_for_it_alone_is_dispatched() -> None:
    (
        SKIPPABLE()
        .when(request(SKIPPABLE, bypass_steps=("b",)))
        .then(accepted(SKIPPABLE), e.StepBypassed(step="b"), dispatched("a"), dispatched("c"))
        .then_state("in_progress", b="bypassed", e="pending")
    )


def test_a_join_of_bypassed_steps_alone_is_dispatched_at_once() -> None:
    SKIPPABLE().when(request(SKIPPABLE, bypass_steps=("d", "b"))).then(
        accepted(SKIPPABLE),
        e.StepBypassed(step="d"),
        e.StepBypassed(step="b"),
        dispatched("a"),
        dispatched("c"),
        dispatched("e"),
    )


def test_a_bypassed_root_releases_what_depends_on_it() -> None:
    given = stories(step("a", skippable=True), "b < a", "c")

    given().when(request(given, bypass_steps=("a",))).then(
        accepted(given), e.StepBypassed(step="a"), dispatched("b"), dispatched("c")
    )


def test_a_chain_of_bypassed_steps_is_left_out_whole() -> None:
    given = stories(step("a", skippable=True), step("b < a", skippable=True), "c < b")

    given().when(request(given, bypass_steps=("b", "a"))).then(
        accepted(given), e.StepBypassed(step="b"), e.StepBypassed(step="a"), dispatched("c")
    )


def test_a_step_named_twice_is_bypassed_once() -> None:
    given = stories(step("a", skippable=True), "b")

    given().when(request(given, bypass_steps=("a", "a"))).then(
        accepted(given), e.StepBypassed(step="a"), dispatched("b")
    )


def test_a_task_of_bypassed_steps_alone_is_complete_at_once() -> None:
    given = stories(step("a", skippable=True), step("b < a", skippable=True))

    given().when(request(given, bypass_steps=("a", "b"))).then(
        accepted(given), e.StepBypassed(step="a"), e.StepBypassed(step="b"), e.TaskCompleted()
    ).then_state("complete")


def test_only_skippable_steps_of_the_template_can_be_bypassed() -> None:
    outcome = SKIPPABLE().when(request(SKIPPABLE, bypass_steps=("b", "a", "z")))

    outcome.refused("task.not_skippable", "task.unknown_step", kind="invalid")
    assert outcome.decision.rejection is not None
    assert outcome.decision.rejection.code == "task.not_skippable"
    assert [problem.pointer for problem in outcome.decision.rejection.problems] == [
        "/bypass_steps/1",
        "/bypass_steps/2",
    ]


def test_schema_and_bypass_problems_are_told_together() -> None:
    given = stories("a", context_schema=False)

    outcome = given().when(request(given, bypass_steps=("a",)))

    assert outcome.decision.rejection is not None
    assert [problem.code for problem in outcome.decision.rejection.problems][-1] == "task.not_skippable"
    assert len(outcome.decision.rejection.problems) == 2


def test_of_very_many_problems_the_first_hundred_are_told() -> None:
    bypass = tuple(f"nowhere_{number}" for number in range(500))
    FORK().when(request(FORK, bypass_steps=bypass)).refused(*["task.unknown_step"] * 100)
