"""The programs that the engine runs, found once."""

import shutil

from roost_server.domain import errors

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC", "GOMAXPROCS": "1"}
"""Nothing of the server's own. One thread is enough for the runtime; in UTC the times of logs sort as text."""


def find(name: str) -> str:
    """A program's absolute path. Raises `Unavailable` when it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise errors.Unavailable(
            f"cannot run replicas: {name} is not installed; install the package {name}",
            reason="engine_unavailable",
        )
    return found
