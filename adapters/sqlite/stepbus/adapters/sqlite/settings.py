"""What a `sqlite:` URL says."""

from dataclasses import dataclass
from pathlib import Path

from stepbus.adapters.recorders.urls import parts_of
from stepbus.contracts.problems import refuse
from stepbus.contracts.urls import positive

KNOWN = ("busy_timeout_s",)
BUSY_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class SqliteSettings:
    """Where the files are, and how long to wait for another process that writes to them."""

    log: Path
    views: Path
    busy_timeout_s: float = BUSY_TIMEOUT_S


def parse(url: str) -> SqliteSettings:
    """Give the settings that `sqlite:///folder/log.db` stands for; the views go to `log-views.db` beside it.

    Raises:
        Refused: the URL names no absolute path to a file, or holds something that is not known.
    """
    parts = parts_of(url, KNOWN)
    path = Path(parts.path)
    if parts.authority or not path.is_absolute() or not path.name or parts.path.endswith("/"):
        raise refuse("settings.url", f"expected sqlite:///folder/file.db with an absolute path, found {url!r}")
    return SqliteSettings(
        log=path,
        views=path.with_name(f"{path.stem}-views.db"),
        busy_timeout_s=positive(parts.options, "busy_timeout_s", BUSY_TIMEOUT_S),
    )
