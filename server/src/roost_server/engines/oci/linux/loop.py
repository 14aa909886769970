"""Loop devices: a file as a block device, detached by the kernel when its last mount goes."""

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

LOOP_CTL_GET_FREE = 0x4C82
LOOP_CONFIGURE = 0x4C0A  # Linux 5.8
LO_FLAGS_AUTOCLEAR = 4
LO_FLAGS_DIRECT_IO = 16
SECTOR_BYTES = 4096
ATTEMPTS = 64


def _configuration(backing: int) -> bytes:
    """struct loop_config of linux/loop.h. Direct I/O keeps the data from being cached twice."""
    info = bytearray(232)
    struct.pack_into("=I", info, 52, LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO)
    return struct.pack("=II", backing, SECTOR_BYTES) + bytes(info) + bytes(64)


@contextmanager
def attached(backing: int) -> Iterator[str]:
    """The device's path; it lives on after this only where it was mounted meanwhile."""
    path, device = _attach(backing)
    try:
        yield path
    finally:
        os.close(device)


def _attach(backing: int) -> tuple[str, int]:
    """Another process may take the free device first, so try again."""
    for _ in range(ATTEMPTS - 1):
        try:
            return _attach_once(backing)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENXIO, errno.EBUSY):
                raise
    return _attach_once(backing)


def _attach_once(backing: int) -> tuple[str, int]:
    path = f"/dev/loop{_free_number()}"
    device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(device, LOOP_CONFIGURE, _configuration(backing))
    except OSError:
        os.close(device)
        raise
    return path, device


def _free_number() -> int:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(control, LOOP_CTL_GET_FREE)
    finally:
        os.close(control)
