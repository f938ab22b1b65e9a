"""Times and durations for a person."""

from datetime import UTC, datetime


def clock(at_ms: int | None) -> str:
    """Give a time of day in the local zone, with milliseconds; "" for none."""
    return "" if at_ms is None else f"{_local(at_ms):%H:%M:%S}.{at_ms % 1000:03d}"


def date_and_clock(at_ms: int | None) -> str:
    """Give date and time in the local zone; "" for none."""
    return "" if at_ms is None else f"{_local(at_ms):%Y-%m-%d %H:%M:%S}"


def lasting(milliseconds: int | None) -> str:
    """Give how long something took, in the unit that suits; "" for none."""
    if milliseconds is None:
        return ""
    seconds = milliseconds / 1000
    if seconds < 1:
        return f"{milliseconds} ms"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _local(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone()
