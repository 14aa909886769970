"""Encryption at rest of values that must be given back in clear: registry passwords."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet


class Cipher:
    """Fernet (AES-128-CBC and HMAC-SHA256) under the installation's key."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)

    def encrypt(self, text: str | None) -> str | None:
        return None if text is None else self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, token: str | None) -> str | None:
        return None if token is None else self._fernet.decrypt(token.encode()).decode()


def open_cipher(path: Path) -> Cipher:
    """The cipher of the key in `path`, which is made, readable by its owner alone, when it is not there.

    The key appears whole or not at all: without it nothing that was encrypted can be read again."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(made)
        Path(made).unlink()
    return Cipher(path.read_bytes())
