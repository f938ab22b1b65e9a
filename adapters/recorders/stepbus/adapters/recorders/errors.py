"""From a database driver's errors to the library's, and from these to those of the ports."""

from collections.abc import Iterator
from contextlib import contextmanager

from eventsourcing import persistence
from eventsourcing.persistence import DataError, IntegrityError, PersistenceError

from stepbus.orchestrator.ports import StoreUnavailable


def library_error(error: Exception) -> PersistenceError:
    """Give the library's error for one of a driver's. Source: PEP 249, whose names both have."""
    for kind in type(error).__mro__:
        of_library = getattr(persistence, kind.__name__, None)
        if isinstance(of_library, type) and issubclass(of_library, PersistenceError):
            return of_library(str(error))
    return PersistenceError(str(error))


def port_error(error: Exception) -> Exception:
    """Give the ports' error for one of the library, StoreUnavailable or ValueError; any other as it is."""
    if isinstance(error, DataError | IntegrityError | OverflowError):
        return ValueError(f"expected values that the database can hold: {error}")
    if isinstance(error, PersistenceError):
        return StoreUnavailable(str(error))
    return error


@contextmanager
def as_port_errors() -> Iterator[None]:
    """Say in the ports' words what went wrong.

    Raises:
        StoreUnavailable: the database could not do it now.
        ValueError: the database can never hold these values.
    """
    try:
        yield
    except Exception as error:
        told = port_error(error)
        if told is error:
            raise
        raise told from error
