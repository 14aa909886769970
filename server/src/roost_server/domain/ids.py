"""Ids: UUIDs of version 7 (RFC 9562), so that ordering by id is ordering by time of creation.

Within a millisecond the 12 bits after the time count on (RFC 9562, 6.2, method 1), so that the ids of one process are
strictly ordered.
"""

import secrets
import threading
import time
import uuid

_COUNTS = 1 << 12


class _Clock:
    """Ticks of 1/4096 millisecond that never repeat and never go back."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def tick(self) -> int:
        with self._lock:
            self._last = max(self._last + 1, time.time_ns() // 1_000_000 * _COUNTS)
            return self._last


_clock = _Clock()


def new_id() -> str:
    """A new UUIDv7 as text: 48 bits of milliseconds, a count of 12 bits, 62 random bits."""
    milliseconds, count = divmod(_clock.tick(), _COUNTS)
    value = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | count << 64 | 0b10 << 62
    return str(uuid.UUID(int=value | secrets.randbits(62)))
