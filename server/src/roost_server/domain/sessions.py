"""Sessions: with which version a session begins, where several share an endpoint's traffic. Pure.

The gateway decides in the same way while nobody answers it (`gateway/resources/sticky.lua`), so the hash must stay as
it is there: Jenkins' one-at-a-time, which needs no more than 32-bit shifts and additions.
"""

from collections.abc import Mapping

from roost_server.domain import errors

SESSION_MAX = 256
"""Of a session id only so many bytes count; what follows tells no sessions apart."""

_BITS = 32
_MASK = (1 << _BITS) - 1


def choose(session: str, weights: Mapping[int, int]) -> int:
    """The same version for the same session and weights; of many sessions each version gets its share.

    While a newer version's weight grows, sessions move only to it. Raises `Unavailable` when no version has weight.
    """
    place = hashed(session) * sum(weights.values()) >> _BITS
    for version, weight in sorted(weights.items()):
        place -= weight
        if place < 0:
            return version
    raise errors.Unavailable("cannot choose a version for this session: none takes new requests now")


def hashed(session: str) -> int:
    """32 bits of the session id."""
    state = 0
    for byte in session.encode("latin-1", "replace")[:SESSION_MAX]:
        state = state + byte & _MASK
        state = state + (state << 10) & _MASK
        state ^= state >> 6
    state = state + (state << 3) & _MASK
    state ^= state >> 11
    return state + (state << 15) & _MASK
