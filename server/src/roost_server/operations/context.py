"""Context: what the operations work with."""

from dataclasses import dataclass

from roost_server.operations.capacity import Capacity
from roost_server.store.cipher import Cipher
from roost_server.store.store import Store


@dataclass(frozen=True)
class Context:
    """`access_token_seconds` is how long an access token is good for."""

    store: Store
    cipher: Cipher
    capacity: Capacity
    access_token_seconds: int = 1800
