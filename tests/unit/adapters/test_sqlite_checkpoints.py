"""The thread that carries SQLite's write-ahead log over."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import current_thread

import pytest
from eventsourcing.persistence import OperationalError

from stepbus.adapters.sqlite.checkpoints import Checkpointer


class File:
    """Notes who carries over, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.failures = 0
        self.done: SimpleQueue[str] = SimpleQueue()

    def checkpoint(self) -> None:
        self.done.put(current_thread().name)
        if self.failures:
            self.failures -= 1
            raise OperationalError("database is locked")


@pytest.fixture
def file() -> File:
    return File()


@pytest.fixture
def checkpointer(file: File) -> Iterator[Checkpointer]:
    checkpointer = Checkpointer(file.checkpoint, pages=10)
    yield checkpointer
    checkpointer.close()


def test_it_is_done_elsewhere_each_time_that_so_many_pages_were_written(file: File, checkpointer: Checkpointer) -> None:
    for _ in range(2):
        checkpointer.grew(4)
        checkpointer.grew(5)
        assert file.done.empty()
        checkpointer.grew(1)
        assert file.done.get(timeout=30) == "stepbus-log-checkpointer"


def test_a_failure_is_made_good_by_the_next(file: File, checkpointer: Checkpointer) -> None:
    file.failures = 1

    for _ in range(2):
        checkpointer.grew(10)
        assert file.done.get(timeout=30)


def test_nothing_is_begun_after_the_end(file: File, checkpointer: Checkpointer) -> None:
    checkpointer.close()

    checkpointer.grew(10)
    checkpointer.close()

    assert file.done.empty()
