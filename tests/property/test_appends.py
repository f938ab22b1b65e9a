"""Whatever is appended in whatever groups, a log answers as a few lines of plain Python do."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from stepbus.adapters.memory.store import MemoryLog
from stepbus.adapters.recorders.log import AppendCall, LogRecorder
from stepbus.adapters.sqlite.log import open_log
from stepbus.orchestrator.ports import Append, Appended, VersionConflict

appends = st.builds(
    Append,
    stream=st.sampled_from([UUID(int=number) for number in range(3)]),
    expected=st.integers(0, 4),
    category=st.sampled_from(["task", "ignored"]),
    data=st.sampled_from([b"", b"a", b"b"]),
)
calls = st.lists(appends, max_size=4)
groups = st.lists(st.tuples(st.integers(0, 1), st.lists(calls, max_size=4)), max_size=8)
"""The groups that two writers commit: which of the two, and the calls in it."""


class Model:
    """The log as its port tells it: no locks, no groups, no database."""

    def __init__(self) -> None:
        self.streams: defaultdict[UUID, list[tuple[int, str, bytes]]] = defaultdict(list)
        self.head = 0

    def append(self, batches: Sequence[Append]) -> list[Appended | VersionConflict]:
        refused: set[UUID] = set()
        return [self._append(batch, refused) for batch in batches]

    def _append(self, batch: Append, refused: set[UUID]) -> Appended | VersionConflict:
        records = self.streams[batch.stream]
        if batch.stream not in refused:
            if batch.expected == len(records):
                self.head += 1
                records.append((self.head, batch.category, batch.data))
                return Appended(self.head)
            if batch.expected < len(records):
                position, *stored = records[batch.expected]
                if stored == [batch.category, batch.data]:
                    return Appended(position)
        refused.add(batch.stream)
        return VersionConflict(batch.stream, batch.expected, len(records))


@contextmanager
def logs() -> Iterator[dict[str, Sequence[LogRecorder[Any]]]]:
    """Give the two writers of each log."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        path = Path(folder) / "log.db"
        memory = MemoryLog()
        yield {
            "memory": (memory, memory),
            "sqlite": [opened.enter_context(closing(open_log(path, busy_timeout_s=5))) for _ in range(2)],
        }


@given(groups)
def test_a_log_answers_as_the_model_does_whoever_writes(
    groups: Sequence[tuple[int, Sequence[Sequence[Append]]]],
) -> None:
    model = Model()
    expected = [[model.append(call) for call in group] for _, group in groups]

    with logs() as of:
        for name, writers in of.items():
            answers = [writers[number].commit([AppendCall(call) for call in group]) for number, group in groups]
            assert answers == expected, name
            for log in writers:
                stored = log.select_log(0, 1_000, None)
                assert [record.position for record in stored] == list(range(1, model.head + 1))
                for stream, records in model.streams.items():
                    found = log.select_stream(stream, 0)
                    assert [(record.position, record.category, record.data) for record in found] == records
                    assert [record.version for record in found] == list(range(1, len(records) + 1))
