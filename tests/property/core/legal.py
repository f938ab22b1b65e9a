"""What a history may look like, judged from the template and from `(event, step, attempt)` in log order alone."""

from collections.abc import Iterable, Iterator, Mapping

from stepbus.contracts.template import TaskTemplate

Transition = tuple[str, str, int]

ENDINGS = {"TaskCompleted", "TaskFailed", "TaskCancelled"}
ANSWERS = {"StepCompleted", "StepFailed", "StepTimedOut"}


def unlawful(template: TaskTemplate, history: Iterable[Transition]) -> list[str]:
    """Give all that is wrong with the history of one task that nobody reopened, from its first event to its last."""
    judge = _Judge(template)
    problems = [problem for transition in history for problem in judge.problems(*transition)]
    return problems if judge.ended else [*problems, "the task does not end"]


class _Judge:
    def __init__(self, template: TaskTemplate) -> None:
        self.needs = {step.name: step.depends_on for step in template.steps}
        self.most = {step.name: step.retry.max_attempts for step in template.steps}
        self.waiting = {name: len(needed) for name, needed in self.needs.items()}
        self.dependents: Mapping[str, list[str]] = {name: [] for name in self.needs}
        for name, needed in self.needs.items():
            for dependency in needed:
                self.dependents[dependency].append(name)
        self.untouched = set(self.needs)
        self.owed = {name for name, count in self.waiting.items() if not count}
        self.attempts = dict.fromkeys(self.needs, 0)
        self.in_hand: set[str] = set()
        self.satisfied: set[str] = set()
        self.failed: set[str] = set()
        self.cancelled: set[str] = set()
        self.ended = ""

    def problems(self, event: str, step: str, attempt: int) -> Iterator[str]:
        told = f"{event} {step} {attempt}"
        if self.ended:
            yield f"{told}: the task has ended with {self.ended}"
        elif event in ENDINGS:
            yield from (f"{told}: {problem}" for problem in self.end(event))
        elif step not in self.needs:
            yield f"{told}: no such step"
        elif event == "StepDispatched":
            yield from (f"{told}: {problem}" for problem in self.dispatch(step, attempt))
        elif event in ANSWERS:
            yield from (f"{told}: {problem}" for problem in self.answer(event, step, attempt))
        elif event == "StepResolvedManually":
            self.satisfy(step)
        elif event == "StepCancelled":
            yield from (f"{told}: {problem}" for problem in self.cancel(step, attempt))
        else:
            yield f"{told}: no such event"

    def dispatch(self, step: str, attempt: int) -> Iterator[str]:
        if self.waiting[step]:
            yield "before what it depends on"
        if attempt != self.attempts[step] + 1:
            yield f"expected attempt {self.attempts[step] + 1}"
        if attempt > self.most[step]:
            yield f"expected at most {self.most[step]} attempts"
        if step in self.in_hand or step in self.satisfied or step in self.cancelled:
            yield "it is in hand, or done"
        self.attempts[step] = attempt
        self.failed.discard(step)
        self.untouched.discard(step)
        self.owed.discard(step)
        self.in_hand.add(step)

    def answer(self, event: str, step: str, attempt: int) -> Iterator[str]:
        if self.owed:
            yield f"{sorted(self.owed)} were ready before and not dispatched"
        if step not in self.in_hand or attempt != self.attempts[step]:
            yield f"no such attempt is in hand, the last one is {self.attempts[step]}"
        if event == "StepCompleted":
            self.satisfy(step)
        else:
            self.in_hand.discard(step)
            self.failed.add(step)

    def satisfy(self, step: str) -> None:
        self.in_hand.discard(step)
        self.failed.discard(step)
        if step not in self.satisfied:
            self.satisfied.add(step)
            for dependent in self.dependents[step]:
                self.waiting[dependent] -= 1
                if not self.waiting[dependent] and dependent in self.untouched:
                    self.owed.add(dependent)

    def cancel(self, step: str, attempt: int) -> Iterator[str]:
        if step in self.satisfied:
            yield "it is done"
        if attempt != self.attempts[step]:
            yield f"expected attempt {self.attempts[step]}"
        self.in_hand.discard(step)
        self.untouched.discard(step)
        self.owed.discard(step)
        self.cancelled.add(step)

    def end(self, event: str) -> Iterator[str]:
        self.ended = event
        if self.in_hand:
            yield f"{sorted(self.in_hand)} are in hand"
        if self.owed:
            yield f"{sorted(self.owed)} are ready and not dispatched"
        is_done = len(self.satisfied) == len(self.needs)
        if event == "TaskCompleted" and not is_done:
            yield f"{sorted(self.needs.keys() - self.satisfied)} are not done"
        if event == "TaskFailed" and is_done:
            yield "everything is done"
        if event == "TaskFailed" and not self.failed and not self.cancelled:
            yield "nothing has failed"
        if event == "TaskCancelled" and self.needs.keys() - self.satisfied - self.cancelled - self.failed:
            yield "something is open"
