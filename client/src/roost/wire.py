"""From JSON to dataclasses. Unknown fields are left out, so that a newer server does not break an older client."""

import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def decode(kind: Callable[..., T], data: Any) -> T:
    """`data` as a `kind`. A missing field without a default is None."""
    values = {name: read(data[name]) for name, read in _readers(kind).items() if name in data}
    missing = [one.name for one in fields(kind) if one.name not in values and _has_no_default(one)]  # type: ignore[arg-type]
    return kind(**values, **dict.fromkeys(missing))


def _has_no_default(one: Any) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


@cache
def _readers(kind: Any) -> dict[str, Callable[[Any], Any]]:
    hints = get_type_hints(kind)
    return {one.name: _reader(hints[one.name]) for one in fields(kind)}


def _reader(hint: Any) -> Callable[[Any], Any]:
    if get_origin(hint) in (Union, types.UnionType):
        read = _reader(next(arg for arg in get_args(hint) if arg is not type(None)))
        return lambda value: None if value is None else read(value)
    if get_origin(hint) is list:
        read_item = _reader(get_args(hint)[0])
        return lambda value: [read_item(item) for item in value]
    if get_origin(hint) is dict:
        read_value = _reader(get_args(hint)[1])
        return lambda value: {key: read_value(one) for key, one in value.items()}
    if hint is datetime:
        return datetime.fromisoformat
    if is_dataclass(hint):
        return lambda value: decode(hint, value)  # type: ignore[arg-type]
    return lambda value: value
