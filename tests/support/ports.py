"""Ports of a test's own: of all processes that run tests on this machine only one is given the same port, also while
nobody listens there yet, or for a while not."""

import fcntl
import functools
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import BinaryIO

PORTS = range(20_000, 32_000)
"""Below the range that outgoing connections take theirs from, so that a port stays free while its server is down."""

_given: set[int] = set()


def free(count: int) -> list[int]:
    """Ports on which nobody listens now, no two the same. Nobody else is given them until this process has ended."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if port not in _given and _claimed(port) and _is_free(port):
            _given.add(port)
            found.append(port)
            if len(found) == count:
                return found
    raise AssertionError("no free ports")


@functools.cache
def _claims() -> BinaryIO:
    """A file of which each process locks the bytes that its ports are; locks end with their process. It stays open:
    closing it once would give back all of them."""
    return (Path(tempfile.gettempdir()) / f"roost-test-ports-{os.geteuid()}").open("ab")


def _claimed(port: int) -> bool:
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
