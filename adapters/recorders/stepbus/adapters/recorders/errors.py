"""From the library's errors to those of the ports."""

from collections.abc import Iterator
from contextlib import contextmanager

from eventsourcing.persistence import DataError, PersistenceError

from stepbus.orchestrator.ports import StoreUnavailable


@contextmanager
def as_port_errors() -> Iterator[None]:
    """Say in the ports' words what went wrong.

    Raises:
        StoreUnavailable: the database could not do it now.
        ValueError: the database can never hold this value.
    """
    try:
        yield
    except DataError as error:
        raise ValueError(f"expected values that the database can hold: {error}") from error
    except PersistenceError as error:
        raise StoreUnavailable(str(error)) from error
