"""Ids: UUIDs of version 7 (RFC 9562), so that ordering by id is ordering by time of creation."""

import secrets
import time
import uuid


def new_id() -> str:
    """A new UUIDv7 as text: 48 bits of milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62
    return str(uuid.UUID(int=value | secrets.randbits(62)))
