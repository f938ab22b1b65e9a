"""Values that are made by the million: events, and what is asked of the core."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True)
def value(*, kw_only: bool = False) -> Callable[[type[_T]], type[_T]]:
    """Make a class one of values: compared by their fields, and of one object each, without a dictionary.

    Frozen for the type checker alone: to make a frozen dataclass takes three times as long. Nothing is validated; what
    comes from outside is read by `pydantic`, which takes such a class as its schema.
    """

    def made(cls: type[_T]) -> type[_T]:
        return dataclass(slots=True, unsafe_hash=True, kw_only=kw_only)(cls)

    return made
