"""JSON out: what a handler may return. JSON values, dataclasses, Pydantic models, dates, UUIDs, paths, enums, sets."""

import dataclasses
import json
from datetime import date, datetime, time
from pathlib import PurePath
from typing import Any
from uuid import UUID


def dumps(value: object) -> bytes:
    """Compact UTF-8 JSON on one line. Raises TypeError or ValueError (NaN, circles) for what JSON cannot hold."""
    return json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _plain(value: Any) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, UUID | PurePath):
        return str(value)
    if isinstance(value, set | frozenset):
        return list(value)
    if callable(dump := getattr(value, "model_dump", None)):
        return dump(mode="json")
    raise TypeError(
        f"cannot answer with a {type(value).__name__}: it is not JSON; return a dict, list, string or number"
    )
