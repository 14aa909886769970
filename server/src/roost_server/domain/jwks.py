"""JWK sets (RFC 7517) as others give them: how large and how deep one may be. Which keys are of use is the gateway's
business.

Bounded because one document is read again with every change of any route: what no parser can follow, or takes long to
read, would keep all of them waiting.
"""

import json
from typing import Any

BYTES_MAX = 256 * 1024
DEPTH_MAX = 8
"""Lists and objects in each other; a key with a chain of certificates has four."""


def check(document: Any) -> None:
    """Raises `ValueError` saying what is wrong."""
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError('no JWK set, which is an object with a list "keys"')
    if _is_deeper(document, DEPTH_MAX):
        raise ValueError(f"nested in more than {DEPTH_MAX} levels")
    if len(json.dumps(document)) > BYTES_MAX:
        raise ValueError(f"larger than {BYTES_MAX // 1024} KiB")


def _is_deeper(document: Any, levels: int) -> bool:
    """Level by level: recursion would end where the document wants it to."""
    level = [document]
    for _ in range(levels):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list)]
    return bool(level)


def _inside(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value
