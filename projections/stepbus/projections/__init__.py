"""Views of the log: projections that keep them, and what makes them anew."""

from stepbus.orchestrator.ports import Role, Surroundings
from stepbus.projections.rebuild import Rebuilt, digest, rebuild_all
from stepbus.projections.runner import Runner
from stepbus.projections.views import PROJECTIONS

__all__ = ["PROJECTIONS", "Rebuilt", "Runner", "digest", "rebuild_all", "role"]


def role(surroundings: Surroundings) -> Role:
    """Give the role that keeps the views at the end of the log."""
    return Runner(surroundings.store, surroundings.views)
