"""What an `amqp:` URL says."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote

from stepbus.contracts.problems import refuse
from stepbus.contracts.urls import address_of, options_of, seconds, shown, split_of, whole

OPTIONS = ("ack_wait", "connect_timeout", "max_message", "session_timeout", "tls_ca")
DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}

_SESSION_TIMEOUT_S = 15.0
_BEATS = 3
"""A server leaves who has not been heard of for two to three times the interval of heartbeats, of whole seconds."""

_LARGEST = 128 * 1024 * 1024
"""What a server of version 3 takes at most, in bytes; one of version 4 takes an eighth of it unless told otherwise."""


@dataclass(frozen=True, slots=True)
class RabbitSettings:
    """Where the servers are, and what is asked of them.

    Shape: `addresses` are hosts with their ports, to be tried in turn; `hosts` is the same for people to read. `tls_ca`
    is a file of certificates to trust instead of the system's. `session_timeout_s` is 0 where the URL does not say it.
    Units: `max_message` is in bytes.
    """

    addresses: tuple[tuple[str, int], ...]
    hosts: str
    user: str = field(default="guest", repr=False)
    password: str = field(default="guest", repr=False)
    vhost: str = "/"
    is_tls: bool = False
    tls_ca: Path | None = None
    connect_timeout_s: float = 5.0
    ack_wait_s: float = 30.0
    session_timeout_s: float = 0.0
    max_message: int = 1024 * 1024

    def heartbeat_s(self, session_timeout_s: float) -> int:
        """Give the interval of heartbeats for a bus that takes processes for gone after so long; 0 says nothing."""
        return max(1, int((self.session_timeout_s or session_timeout_s or _SESSION_TIMEOUT_S) / _BEATS))

    def tls_context(self) -> ssl.SSLContext | None:
        """Give what a TLS connection is checked with; None for one without TLS."""
        return ssl.create_default_context(cafile=self.tls_ca) if self.is_tls else None


def parse(url: str) -> RabbitSettings:
    """Give the settings that `amqp://user:password@host:port,host:port/vhost?ack_wait=30` stands for.

    Raises:
        Refused: the URL names no host, or holds something that is not known.
    """
    split = _split(url)
    options = options_of(split.query, OPTIONS)
    credentials, at, hosts = split.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    addresses = tuple(address_of(host, DEFAULT_PORTS[split.scheme], "amqp://host:5672") for host in hosts.split(","))
    is_tls = split.scheme == "amqps"
    if "tls_ca" in options and not is_tls:
        raise refuse("settings.option", "expected tls_ca only beside amqps://, found it beside amqp://")
    return RabbitSettings(
        addresses=addresses,
        hosts=", ".join(map(shown, addresses)),
        user=unquote(user) if at else "guest",
        password=unquote(password) if at else "guest",
        vhost=unquote(split.path.removeprefix("/")) or "/",
        is_tls=is_tls,
        tls_ca=Path(options["tls_ca"]) if "tls_ca" in options else None,
        connect_timeout_s=seconds(options, "connect_timeout", 5.0),
        ack_wait_s=seconds(options, "ack_wait", 30.0),
        session_timeout_s=seconds(options, "session_timeout", 0.0, at_least=_BEATS),
        max_message=whole(options, "max_message", 1024 * 1024, 1, _LARGEST, "bytes"),
    )


def _split(url: str) -> SplitResult:
    split = split_of(url)
    if split.scheme not in DEFAULT_PORTS:
        raise refuse("settings.url", f"expected a URL that begins with amqp:// or amqps://, found {split.scheme!r}")
    if "/" in split.path.removeprefix("/") or split.fragment:
        raise refuse("settings.url", "expected a URL of hosts, one virtual host and options, found more of a path")
    return split
