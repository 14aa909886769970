"""What a command does not need and therefore does not import, so that it starts quickly.

Where other packages are installed too, importing httpx also imports its own command line (with pygments) and HTTP/2,
0.3 s together; typer loads pydantic, 0.15 s, to see that a text is a text. Each skip here is safe to lose: without it
a command is only slower.
"""

import sys
from typing import Any

UNUSED = ("httpx._main", "h2")


def skip_unused_imports() -> None:
    """Before httpx is imported; it does without these."""
    for name in UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def take_texts_as_they_are(params: list[Any]) -> list[Any]:
    """Have only those numbers, paths and choices checked that were typed, not texts and defaults."""
    for param in params:
        if getattr(param, "_runtime_param", False) is None:
            param._runtime_param = _Plain()
    return params


class _Plain:
    """Stands where typer keeps a parameter's check, and makes the real one when there is something to check."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        is_typed = isinstance(value, str | list | tuple)
        if value is not None and (not is_typed or param.type_descriptor.annotation in (str, list[str])):
            return value
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)
