"""Capabilities: what root of a box may do within its own user namespace."""

from typing import Any

KEPT = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
]
"""What package managers and servers need. No raw sockets: nothing can pretend to be another address."""


def of_user(uid: int) -> dict[str, Any]:
    """The runtime-spec's `capabilities`. Another user than root holds none."""
    held = KEPT if uid == 0 else []
    return {"bounding": KEPT, "effective": held, "permitted": held}
