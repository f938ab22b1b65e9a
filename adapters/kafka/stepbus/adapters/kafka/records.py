"""What comes out of a topic: headers in our words, and the order in which messages of several partitions were sent."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from stepbus.adapters.kafka.book import Held
from stepbus.adapters.kafka.topology import Place

ID, SENT = "stepbus-id", "stepbus-sent"
"""Headers of each message that this bus sends: its id, and when it was sent in microseconds since 1970."""

_OURS = 2
_NO_HEADERS: Mapping[str, str] = {}


def headers_of(record: Any) -> Mapping[str, str]:
    """Give the headers but for those of the bus."""
    headers = record.headers
    if not headers or (len(headers) == _OURS and headers[0][0] == ID and headers[1][0] == SENT):
        return _NO_HEADERS
    return {name: (value or b"").decode("utf-8", "replace") for name, value in headers if name not in {ID, SENT}}


def in_order(fetched: Mapping[Any, Sequence[Any]], place: Place) -> list[Held]:
    """Give what was fetched at once: of one partition by offsets, those of several as their times of sending say."""
    found: list[tuple[int, Held]] = []
    for at, records in fetched.items():
        channel = place.channel_of(at.partition)
        sent = 0
        for record in records:
            held = Held(at.partition, record.offset, channel, record.value or b"", headers_of(record))
            if len(fetched) > 1:
                sent = max(sent, _sent_at(record))
            found.append((sent, held))
    if len(fetched) > 1:
        found.sort(key=itemgetter(0))
    return [held for _, held in found]


def _sent_at(record: Any) -> int:
    headers = record.headers
    if len(headers) >= _OURS and headers[1][0] == SENT and headers[1][1].isdigit():
        return int(headers[1][1])
    return int(record.timestamp) * 1000
