"""Carries the write-ahead log over into the database file while the writer goes on, so that no commit waits for it.

SQLite's own way is that the commit with which the write-ahead log has grown too long carries it over: whoever waits for
that commit waits for megabytes to be copied and flushed. A second connection does the same while the writer goes on.
The writer can begin the write-ahead log anew once all of it was carried over and nobody reads from it.
"""

from collections.abc import Callable
from contextlib import suppress
from threading import Condition, Thread

from eventsourcing.persistence import PersistenceError

PAGES = 4_000
"""After how many new pages, of 4 KiB, the write-ahead log is carried over."""


class Checkpointer:
    """Calls `checkpoint`, in a thread of its own, each time that the write-ahead log has grown by so many pages."""

    def __init__(self, checkpoint: Callable[[], object], pages: int = PAGES) -> None:
        self._checkpoint = checkpoint
        self._pages = pages
        self._grown = 0
        self._is_closed = False
        self._changed = Condition()
        self._thread: Thread | None = None

    def grew(self, pages: int) -> None:
        """Count pages that were written; it may be a guess."""
        with self._changed:
            self._grown += pages
            if self._grown < self._pages or self._is_closed:
                return
            self._changed.notify()
            if self._thread is None:
                self._thread = Thread(target=self._run, name="stepbus-log-checkpointer", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread, after the checkpoint that it may be at."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._grown >= self._pages)
                if self._is_closed:
                    return
                self._grown = 0
            with suppress(PersistenceError):  # what could not be carried over now is carried over with what follows
                self._checkpoint()
