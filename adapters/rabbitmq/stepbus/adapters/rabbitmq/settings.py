"""What an `amqp:` URL says."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from stepbus.contracts.problems import refuse

OPTIONS = ("ack_wait", "connect_timeout", "max_message", "tls_ca")
DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}

_LARGEST = 128 * 1024 * 1024
"""What a server of version 3 takes at most, in bytes; one of version 4 takes an eighth of it unless told otherwise."""


@dataclass(frozen=True, slots=True)
class RabbitSettings:
    """Where the servers are, and what is asked of them.

    Shape: `addresses` are hosts with their ports, to be tried in turn; `hosts` is the same for people to read. `tls_ca`
    is a file of certificates to trust instead of the system's. Units: `max_message` is in bytes.
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
    max_message: int = 1024 * 1024

    def tls_context(self) -> ssl.SSLContext | None:
        """Give what a TLS connection is checked with; None for one without TLS."""
        return ssl.create_default_context(cafile=self.tls_ca) if self.is_tls else None


def parse(url: str) -> RabbitSettings:
    """Give the settings that `amqp://user:password@host:port,host:port/vhost?ack_wait=30` stands for.

    Raises:
        Refused: the URL names no host, or holds something that is not known.
    """
    split = _split(url)
    options = _options(split.query)
    credentials, at, hosts = split.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    addresses = tuple(_address(host, DEFAULT_PORTS[split.scheme]) for host in hosts.split(","))
    is_tls = split.scheme == "amqps"
    if "tls_ca" in options and not is_tls:
        raise refuse("settings.option", "expected tls_ca only beside amqps://, found it beside amqp://")
    return RabbitSettings(
        addresses=addresses,
        hosts=", ".join(f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name, port in addresses),
        user=unquote(user) if at else "guest",
        password=unquote(password) if at else "guest",
        vhost=unquote(split.path.removeprefix("/")) or "/",
        is_tls=is_tls,
        tls_ca=Path(options["tls_ca"]) if "tls_ca" in options else None,
        connect_timeout_s=_positive(options, "connect_timeout", 5.0),
        ack_wait_s=_positive(options, "ack_wait", 30.0),
        max_message=_size(options.get("max_message", str(1024 * 1024))),
    )


def _split(url: str) -> SplitResult:
    scheme, _, rest = url.partition("://")
    hosts = re.split(r"[/?#]", rest, maxsplit=1)[0]  # several hosts are not what urlsplit calls a netloc
    split = urlsplit(f"{scheme}://{rest[len(hosts) :]}")._replace(netloc=hosts)
    if split.scheme not in DEFAULT_PORTS:
        raise refuse("settings.url", f"expected a URL that begins with amqp:// or amqps://, found {split.scheme!r}")
    if "/" in split.path.removeprefix("/") or split.fragment:
        raise refuse("settings.url", "expected a URL of hosts, one virtual host and options, found more of a path")
    return split


def _address(host: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port or default_port
    except ValueError as error:
        raise refuse("settings.url", f"expected host:port, found {host!r}: {error}") from error
    if not name:
        raise refuse("settings.url", "expected a host, as in amqp://host:5672, found none")
    return name, port


def _options(query: str) -> Mapping[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS:
            raise refuse("settings.unknown_option", f"expected one of {', '.join(OPTIONS)}, found {name!r}")
        if name in options:
            raise refuse("settings.repeated_option", f"expected {name!r} once, found it again")
        options[name] = value
    return options


def _positive(options: Mapping[str, str], name: str, default: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not isfinite(value) or value <= 0:
        raise refuse("settings.option", f"expected {name!r} to be a number of seconds above 0, found {text!r}")
    return value


def _size(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 0 < int(text) <= _LARGEST:
        raise refuse("settings.option", f"expected 'max_message' to be 1 to {_LARGEST} bytes, found {text!r}")
    return int(text)
