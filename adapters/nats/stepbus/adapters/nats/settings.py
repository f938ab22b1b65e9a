"""What a `nats:` URL says."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from stepbus.contracts.problems import refuse

OPTIONS = ("ack_wait", "connect_timeout", "replicas", "tls_ca")
DEFAULT_PORT = 4222


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """Where the servers are, and what is asked of them.

    Shape: `servers` are URLs with their credentials, never to be shown; `hosts` are the same without. `replicas` is of
    the streams that are created. `tls_ca` is a file of certificates to trust instead of the system's.
    """

    servers: tuple[str, ...] = field(repr=False)
    hosts: str
    is_tls: bool = False
    tls_ca: Path | None = None
    connect_timeout_s: float = 5.0
    ack_wait_s: float = 30.0
    replicas: int = 1

    def tls_context(self) -> ssl.SSLContext | None:
        """Give what a TLS connection is checked with; None for one without TLS."""
        return ssl.create_default_context(cafile=self.tls_ca) if self.is_tls else None


def parse(url: str) -> NatsSettings:
    """Give the settings that `nats://user:password@host:port,host:port?connect_timeout=5` stands for.

    Raises:
        Refused: the URL names no host, or holds something that is not known.
    """
    split = _split(url)
    options = _options(split.query)
    credentials, _, hosts = split.netloc.rpartition("@")
    addresses = [_address(host) for host in hosts.split(",")]
    user = f"{credentials}@" if credentials else ""
    is_tls = split.scheme == "tls"
    if "tls_ca" in options and not is_tls:
        raise refuse("settings.option", "expected tls_ca only beside tls://, found it beside nats://")
    return NatsSettings(
        servers=tuple(f"{split.scheme}://{user}{address}" for address in addresses),
        hosts=", ".join(addresses),
        is_tls=is_tls,
        tls_ca=Path(options["tls_ca"]) if "tls_ca" in options else None,
        connect_timeout_s=_positive(options, "connect_timeout", 5.0),
        ack_wait_s=_positive(options, "ack_wait", 30.0),
        replicas=_replicas(options.get("replicas", "1")),
    )


def _split(url: str) -> SplitResult:
    scheme, _, rest = url.partition("://")
    hosts = re.split(r"[/?#]", rest, maxsplit=1)[0]  # several hosts are not what urlsplit calls a netloc
    split = urlsplit(f"{scheme}://{rest[len(hosts) :]}")._replace(netloc=hosts)
    if split.scheme not in {"nats", "tls"}:
        raise refuse("settings.url", f"expected a URL that begins with nats:// or tls://, found {split.scheme!r}")
    if split.path.strip("/") or split.fragment:
        raise refuse("settings.url", "expected a URL of hosts and options only, found a path or a fragment")
    return split


def _address(host: str) -> str:
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError as error:
        raise refuse("settings.url", f"expected host:port, found {host!r}: {error}") from error
    if not name:
        raise refuse("settings.url", "expected a host, as in nats://host:4222, found none")
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


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


def _replicas(text: str) -> int:
    if text not in {"1", "3", "5"}:
        raise refuse("settings.option", f"expected 'replicas' to be 1, 3 or 5, found {text!r}")
    return int(text)
