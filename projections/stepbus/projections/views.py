"""All the views there are."""

from collections.abc import Iterable

from stepbus.contracts.problems import Problem, Refused
from stepbus.projections.attempts import ATTEMPTS
from stepbus.projections.history import HISTORY
from stepbus.projections.ignored import IGNORED
from stepbus.projections.projection import Projection
from stepbus.projections.quarantine import QUARANTINE
from stepbus.projections.steps import STEPS
from stepbus.projections.tasks import TASKS
from stepbus.projections.templates import TEMPLATES

PROJECTIONS: tuple[Projection, ...] = (TASKS, STEPS, ATTEMPTS, HISTORY, TEMPLATES, QUARANTINE, IGNORED)


def projections_named(names: Iterable[str]) -> tuple[Projection, ...]:
    """Give the projections of these names.

    Raises:
        Refused: there is none of one of the names.
    """
    known = {projection.name: projection for projection in PROJECTIONS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Refused(
            Problem(code="view.unknown", message=f"expected one of {', '.join(known)}, found {name!r}")
            for name in unknown
        )
    return tuple(known[name] for name in names)
