"""The HTTP API: tasks, steps, templates and quarantine to read and to change, over the views and the operations."""

from stepbus.orchestrator.ports import Role, Surroundings

__all__ = ["role"]


def role(surroundings: Surroundings) -> Role:
    """Give the role that serves the API."""
    from stepbus.projections.api.server import ApiServer  # noqa: PLC0415 - who runs no API needs no web server

    return ApiServer(surroundings)
