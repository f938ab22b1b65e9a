"""Reading the URLs of stores: what is not known is refused, and the known names are told."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isfinite
from urllib.parse import parse_qsl, unquote, urlsplit

from stepbus.contracts.problems import refuse


@dataclass(frozen=True, slots=True)
class UrlParts:
    """A URL taken apart and percent-decoded."""

    authority: str
    path: str
    options: Mapping[str, str]


def parts_of(url: str, known: Collection[str]) -> UrlParts:
    """Take a URL apart.

    Raises:
        Refused: it is no URL, has a fragment, or options that are not known, or one of them twice.
    """
    try:
        split = urlsplit(url)
    except ValueError as error:
        raise refuse("settings.url", f"expected a URL, but {error}") from error
    if split.fragment:
        raise refuse("settings.url", f"expected no fragment, found {split.fragment!r}")
    options: dict[str, str] = {}
    for name, value in parse_qsl(split.query, keep_blank_values=True):
        if name not in known:
            expected = f"one of {', '.join(sorted(known))}" if known else "no options"
            raise refuse("settings.unknown_option", f"expected {expected}, found {name!r}")
        if name in options:
            raise refuse("settings.repeated_option", f"expected {name!r} once, found it again")
        options[name] = value
    return UrlParts(split.netloc, unquote(split.path), options)


def positive_number(parts: UrlParts, name: str, default: float) -> float:
    """Give an option that is a number above 0.

    Raises:
        Refused: it is something else.
    """
    text = parts.options.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not isfinite(value) or value <= 0:
        raise refuse("settings.option", f"expected {name!r} to be a number above 0, found {text!r}")
    return value
