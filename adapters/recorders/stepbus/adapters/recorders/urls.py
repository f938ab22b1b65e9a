"""Reading the URLs of stores: what is not known is refused, and the known names are told."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from stepbus.contracts.problems import refuse
from stepbus.contracts.urls import options_of


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
    return UrlParts(split.netloc, unquote(split.path), options_of(split.query, known))
