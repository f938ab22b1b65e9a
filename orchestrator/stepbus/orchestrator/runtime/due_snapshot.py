"""What is kept of an index of bounds between two runs: the ids of its tasks, by the second of their bounds.

Format: one byte that names it and the CRC-32 of the rest; then for each second the second, the size of the ids in
bytes, and the ids of 16 bytes each. Numbers are big-endian.
"""

import struct
from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

ID_BYTES = 16
_FORMAT = 1
_HEADER = struct.Struct(">BI")
_BUCKET = struct.Struct(">qI")


class DueSnapshot(NamedTuple):
    """An index as it was at one moment.

    Shape: `bounds` are from the integer of a task's id to its bound in ms; `buckets` from a second to the ids of the
    tasks whose bounds lie in it.
    """

    bounds: tuple[Mapping[int, int], ...]
    buckets: Mapping[int, bytes]

    def encode(self) -> bytes:
        """Give it in few bytes; of a bound its second is kept."""
        seconds: dict[int, bytearray] = {}
        for bounds in self.bounds:
            for task, bound_ms in bounds.items():
                seconds.setdefault(bound_ms // 1000, bytearray()).extend(task.to_bytes(ID_BYTES))
        parts: list[bytes | bytearray] = []
        for buckets in (self.buckets, seconds):
            for second, ids in buckets.items():
                parts += (_BUCKET.pack(second, len(ids)), ids)
        body = b"".join(parts)
        return _HEADER.pack(_FORMAT, crc32(body)) + body

    @classmethod
    def decode(cls, data: bytes) -> "DueSnapshot":
        """Give what was encoded, all of it in buckets.

        Raises:
            ValueError: the bytes are of another format, or not whole.
        """
        if len(data) < _HEADER.size or data[0] != _FORMAT:
            raise ValueError(f"expected a snapshot of format {_FORMAT}, found {data[: _HEADER.size]!r}")
        _, expected = _HEADER.unpack_from(data)
        body = data[_HEADER.size :]
        if crc32(body) != expected:
            raise ValueError(f"expected bytes with the sum {expected:#x}, found {crc32(body):#x}")
        buckets: dict[int, bytes] = {}
        place = 0
        while place < len(body):
            second, size = _BUCKET.unpack_from(body, place)
            place += _BUCKET.size
            buckets[second] = buckets.get(second, b"") + body[place : place + size]
            place += size
        return cls((), buckets)
