"""Semantic versions and their order. Source: Semantic Versioning 2.0.0, sections 2, 9, 10 and 11."""

import re
from typing import Annotated, Final

from pydantic import Field

MAX_VERSION_LENGTH = 128

_NUMBER: Final = r"(?:0|[1-9][0-9]*)"
_LABEL: Final = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER: Final = (
    rf"^({_NUMBER})\.({_NUMBER})\.({_NUMBER})"
    rf"(?:-({_LABEL}(?:\.{_LABEL})*))?"
    r"(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?$"
)
_PARTS: Final = re.compile(_SEMVER)

Version = Annotated[str, Field(pattern=_SEMVER, max_length=MAX_VERSION_LENGTH)]
VersionKey = tuple[int, int, int, tuple[tuple[int, int, str], ...], str]

_RELEASE: Final = ((2, 0, ""),)  # above every label of a pre-release


def semver_key(version: str) -> VersionKey:
    """Give what versions are ordered by.

    Versions that differ in build metadata alone have the same precedence; here they are ordered by it, so that the
    highest of several is always the same one.

    Raises:
        ValueError: not a semantic version.
    """
    match = _PARTS.fullmatch(version)
    if match is None:
        raise ValueError(f"expected a semantic version such as 1.0.0, found {version!r}")
    major, minor, patch, labels, build = match.groups()
    return int(major), int(minor), int(patch), _labels(labels) if labels else _RELEASE, build or ""


def _labels(labels: str) -> tuple[tuple[int, int, str], ...]:
    return tuple((0, int(label), "") if label.isdigit() else (1, 0, label) for label in labels.split("."))
