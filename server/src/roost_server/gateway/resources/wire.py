"""The protobuf wire format, as far as joining messages that are already serialised needs it.

A message is the concatenation of its fields, so a list of 2,000 virtual hosts is joined from cached bytes in a
millisecond instead of being serialised again. Source: protobuf.dev/programming-guides/encoding.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

LENGTH_DELIMITED = 2


def varint(value: int) -> bytes:
    """`value` in base 128, least significant group first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, payload: bytes) -> bytes:
    """One length-delimited field: a string, bytes or a serialised message."""
    return varint(number << 3 | LENGTH_DELIMITED) + varint(len(payload)) + payload


def fields(number: int, payloads: Iterable[bytes]) -> bytes:
    """A repeated field."""
    return b"".join(field(number, payload) for payload in payloads)


def serialized(message: Any) -> bytes:
    """The same bytes for the same message, in every process."""
    return bytes(message.SerializeToString(deterministic=True))


@dataclass(frozen=True)
class Resource:
    """A named xDS resource: `body` is the serialised message, `version` a digest of it, so that a server that
    was restarted gives unchanged resources the versions that Envoy already holds."""

    type_url: str
    name: str
    version: str
    entry: bytes

    @classmethod
    def of(cls, type_url: str, name: str, body: bytes) -> "Resource":
        """`entry` is a serialised envoy.service.discovery.v3.Resource: name 3, version 1, resource 2 (an Any)."""
        version = hashlib.blake2b(body, digest_size=12).hexdigest()
        packed = field(1, type_url.encode()) + field(2, body)
        entry = field(1, version.encode()) + field(2, packed) + field(3, name.encode())
        return cls(type_url, name, version, entry)
