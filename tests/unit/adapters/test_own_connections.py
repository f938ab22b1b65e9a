"""A connection for each thread."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count

from stepbus.adapters.recorders.connections import OwnConnections


class Opened:
    def __init__(self) -> None:
        self.numbers = count(1)
        self.closed: list[int] = []
        self.connections = OwnConnections(lambda: next(self.numbers), self.closed.append)


def test_a_thread_keeps_its_connection_and_shares_it_with_no_other() -> None:
    opened = Opened()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        gotten = [threads.submit(opened.connections.get).result() for threads in (one, other, one, other)]

    assert gotten == [1, 2, 1, 2]


def test_a_dropped_connection_is_closed_and_the_next_use_opens_another() -> None:
    opened = Opened()
    opened.connections.get()

    opened.connections.drop()
    opened.connections.drop()

    assert opened.closed == [1]
    assert opened.connections.get() == 2


def test_all_are_closed_in_the_end() -> None:
    opened = Opened()
    with ThreadPoolExecutor(1) as other:
        other.submit(opened.connections.get).result()
        opened.connections.get()
        opened.connections.drop()
        opened.connections.get()

    opened.connections.close_all()

    assert sorted(opened.closed) == [1, 2, 3]
