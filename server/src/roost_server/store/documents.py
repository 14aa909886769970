"""Documents: dataclasses of the domain as JSON columns keep them, and how they become dataclasses again.

What is stored was checked when it was sent, by the rules of that day. So it is read without any: a release whose rules
are stricter still reads what an earlier one accepted. Fields that this one does not know are passed over, and fields
that the earlier one did not know have their defaults.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[Any], Any]


class _Field(NamedTuple):
    """`default` makes the value of a missing field; None where no document lacks it."""

    name: str
    reader: Reader
    default: Callable[[], Any] | None


def read(kind: type[T], document: Mapping[str, Any]) -> T:
    """The dataclass of which `dataclasses.asdict` made this document."""
    of: Any = kind
    made = object.__new__(kind)
    for name, reader, default in _fields_of(of):
        known = default is None or name in document
        made.__dict__[name] = reader(document[name]) if known else default()  # type: ignore[misc]
    return made


@cache
def _fields_of(kind: Any) -> list[_Field]:
    hints = get_type_hints(kind)
    return [_Field(each.name, _reader(hints[each.name]), _default(each)) for each in fields(kind)]


def _default(of: Any) -> Callable[[], Any] | None:
    if of.default_factory is not MISSING:
        return of.default_factory  # type: ignore[no-any-return]
    return None if of.default is MISSING else lambda: of.default


def _reader(hint: Any) -> Reader:
    """From a JSON value to one of this type."""
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda value: read(hint, value)
    if hint is float:
        return float
    if get_origin(hint) is list:
        each = _reader(get_args(hint)[0])
        return lambda values: [each(value) for value in values]
    if get_origin(hint) is UnionType and NoneType in get_args(hint) and len(get_args(hint)) == 2:
        some = _reader(next(one for one in get_args(hint) if one is not NoneType))
        return lambda value: None if value is None else some(value)
    return lambda value: value
