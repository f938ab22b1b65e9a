"""Reading URLs: hosts, one or several, and options of which what is not known is refused."""

import re
import ssl
from collections.abc import Collection, Mapping
from math import isfinite
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from stepbus.contracts.problems import refuse


def split_of(url: str) -> SplitResult:
    """Take a URL apart; its `netloc` may be several hosts, which is not what `urlsplit` calls one."""
    scheme, _, rest = url.partition("://")
    hosts = re.split(r"[/?#]", rest, maxsplit=1)[0]
    return urlsplit(f"{scheme}://{rest[len(hosts) :]}")._replace(netloc=hosts)


def address_of(host: str, default_port: int, example: str) -> tuple[str, int]:
    """Give the name and the port of a host.

    Raises:
        Refused: there is no name, or what follows it is no port.
    """
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port or default_port
    except ValueError as error:
        raise refuse("settings.url", f"expected host:port, found {host!r}: {error}") from error
    if not name:
        raise refuse("settings.url", f"expected a host, as in {example}, found none")
    return name, port


def shown(address: tuple[str, int]) -> str:
    """Give an address as it is written."""
    name, port = address
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def options_of(query: str, known: Collection[str]) -> Mapping[str, str]:
    """Give the options of a URL's query.

    Raises:
        Refused: one that is not known, or one of them twice.
    """
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            expected = f"one of {', '.join(sorted(known))}" if known else "no options"
            raise refuse("settings.unknown_option", f"expected {expected}, found {name!r}")
        if name in options:
            raise refuse("settings.repeated_option", f"expected {name!r} once, found it again")
        options[name] = value
    return options


def positive(options: Mapping[str, str], name: str, default: float, *, unit: str = "", at_least: float = 0) -> float:
    """Give an option that is a number above 0, and no less than `at_least`.

    Raises:
        Refused: it is something else.
    """
    text = options.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not isfinite(value) or value <= 0 or value < at_least:
        expected = f"a number{unit and f' of {unit}'} {f'of at least {at_least}' if at_least else 'above 0'}"
        raise refuse("settings.option", f"expected {name!r} to be {expected}, found {text!r}")
    return value


def seconds(options: Mapping[str, str], name: str, default: float, *, at_least: float = 0) -> float:
    """Give an option that is a time. Errors as of `positive`."""
    return positive(options, name, default, unit="seconds", at_least=at_least)


def whole(options: Mapping[str, str], name: str, default: int, least: int, most: int, unit: str = "") -> int:
    """Give an option that is a whole number from `least` to `most`.

    Raises:
        Refused: it is something else.
    """
    text = options.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most):
        expected = f"{least} to {most} {unit}" if unit else f"{least} to {most:,}"
        raise refuse("settings.option", f"expected {name!r} to be {expected}, found {text!r}")
    return int(text)


def demand_certificates(file: Path | None) -> None:
    """Check that the certificates to trust can be read from the file of the option `tls_ca`, if there is one.

    Raises:
        Refused: there is no such file, it is not ours to read, or it holds no certificates.
    """
    if file is None:
        return
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        found = f"found {str(file)!r}: {error.strerror or error}"
        raise refuse("settings.option", f"expected 'tls_ca' to be a file of certificates, {found}") from error
