"""What a `redis:` URL says."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from stepbus.contracts.problems import refuse
from stepbus.contracts.urls import address_of, options_of, seconds, shown, whole

OPTIONS = ("ack_wait", "connect_timeout", "max_message", "tls_ca")
DEFAULT_PORT = 6379

_LARGEST = 512 * 1024 * 1024
"""What a Redis server takes unless it is told otherwise, in bytes."""


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Where the server is, and what is asked of it.

    Shape: `host_and_port` can be shown, the credentials never. `database` is the number of one of the server's.
    `tls_ca` is a file of certificates to trust beside the system's.
    """

    host: str
    port: int = DEFAULT_PORT
    database: int = 0
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    is_tls: bool = False
    tls_ca: Path | None = None
    connect_timeout_s: float = 5.0
    ack_wait_s: float = 30.0
    max_message_bytes: int = 1024 * 1024

    @property
    def host_and_port(self) -> str:
        """Give the server's address as it is shown."""
        return shown((self.host, self.port))


def parse(url: str) -> RedisSettings:
    """Give the settings that `redis://user:password@host:port/database?ack_wait=30` stands for.

    Raises:
        Refused: the URL names no host, or holds something that is not known.
    """
    split = urlsplit(url)
    if split.scheme not in {"redis", "rediss"}:
        raise refuse("settings.url", f"expected a URL that begins with redis:// or rediss://, found {split.scheme!r}")
    if split.fragment:
        raise refuse("settings.url", "expected a URL of host, database and options only, found a fragment")
    options = options_of(split.query, OPTIONS)
    is_tls = split.scheme == "rediss"
    if "tls_ca" in options and not is_tls:
        raise refuse("settings.option", "expected tls_ca only beside rediss://, found it beside redis://")
    host, port = _address(split)
    return RedisSettings(
        host=host,
        port=port,
        database=_database(split.path),
        user=unquote(split.username) if split.username else None,
        password=unquote(split.password) if split.password else None,
        is_tls=is_tls,
        tls_ca=Path(options["tls_ca"]) if "tls_ca" in options else None,
        connect_timeout_s=seconds(options, "connect_timeout", 5.0),
        ack_wait_s=seconds(options, "ack_wait", 30.0),
        max_message_bytes=whole(options, "max_message", 1024 * 1024, 1, _LARGEST, "bytes"),
    )


def _address(split: SplitResult) -> tuple[str, int]:
    hosts = split.netloc.rpartition("@")[2]
    if "," in hosts:
        raise refuse("settings.url", f"expected one host, found {hosts!r}")
    return address_of(hosts, DEFAULT_PORT, "redis://host:6379")


def _database(path: str) -> int:
    text = path.removeprefix("/")
    if text and not (text.isascii() and text.isdigit() and len(text) <= 4):  # noqa: PLR2004 - more than any server has
        raise refuse("settings.url", f"expected the number of a database after the host, found {text!r}")
    return int(text or "0")
