"""Context: what the operations work with."""

from dataclasses import dataclass

from roost_server.operations.capacity import Capacity
from roost_server.store.cipher import Cipher
from roost_server.store.store import Store


@dataclass(frozen=True)
class Context:
    store: Store
    cipher: Cipher
    capacity: Capacity
