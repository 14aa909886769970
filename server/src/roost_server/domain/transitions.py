"""State machines as tables: enum → allowed next. ARCHITECTURE.md draws its diagrams from these tables."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from roost_server.domain import errors

S = TypeVar("S", bound=StrEnum)


def check(table: Mapping[S, frozenset[S]], current: S, new: S) -> S:
    """`new`, if the table allows it from `current`. Staying is always allowed; anything else is a bug."""
    if new != current and new not in table[current]:
        raise errors.Internal(f'cannot go from "{current}" to "{new}": the transition table does not allow it')
    return new
