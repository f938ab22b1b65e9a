"""What must hold in every log, by name."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Invariant(StrEnum):
    """What must hold.

    Shape: what each one says:

    `readable`: this release can read every record.
    `dense`: positions rise; the versions of a stream, and the places of the events in it, count up from 1.
    `one_acceptance`: a task begins with its acceptance, and has no other.
    `one_task_a_request`: no request made two tasks.
    `template`: a task runs a template that was registered before it, whole and never replaced, and no other steps.
    `dependencies_first`: a step is dispatched when all that it depends on is satisfied.
    `attempts_in_order`: the attempts of a step are 1, 2, 3 and so on, one at a time, up to the most that it may have;
    what is said of an attempt is said of the one in hand.
    `one_completion`: a step is done once, and if a worker did it, in the attempt that was dispatched last.
    `one_end`: a task ends once, when its steps are as its end says, and nothing follows; a failed one can be reopened.
    """

    READABLE = "readable"
    DENSE = "dense"
    ONE_ACCEPTANCE = "one_acceptance"
    ONE_TASK_A_REQUEST = "one_task_a_request"
    TEMPLATE = "template"
    DEPENDENCIES_FIRST = "dependencies_first"
    ATTEMPTS_IN_ORDER = "attempts_in_order"
    ONE_COMPLETION = "one_completion"
    ONE_END = "one_end"


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that does not hold, found in the record at this position of the log."""

    invariant: Invariant
    stream: UUID
    position: int
    message: str


Finding = tuple[Invariant, str]
"""What does not hold, and why, before it is known where."""
