"""Rotation: keeps each replica's log within its limit, while conmon writes to it.

conmon replaces a log that reached its size limit by an empty one; the old one would be gone. Here every replacement is
noticed, the old file kept under its number, and the oldest removed. When no server runs, conmon's limit still holds.
"""

import shutil
from pathlib import Path

import structlog

from roost_server.engines.oci.linux import inotify
from roost_server.engines.oci.logs.logfile import ReplicaLog

SEGMENTS = 4
PAST_REPLICAS = 20
"""Of a runtime, how many replicas that are gone keep their logs."""

log = structlog.get_logger(__name__)


class Rotation:
    """Watches the logs of living boxes."""

    def __init__(self, log_max_mb: int) -> None:
        self.segment_bytes = log_max_mb * 1024 * 1024 // SEGMENTS
        self._kept_bytes = (SEGMENTS - 1) * self.segment_bytes
        self._watcher = inotify.Watcher()

    def watch(self, directory: Path) -> None:
        """From now on, and what happened while nobody watched."""
        self._watcher.watch(directory, inotify.MOVED_IN)
        ReplicaLog(directory).keep(self._kept_bytes)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            for change in await self._watcher.changes():
                try:
                    ReplicaLog(change.directory).keep(self._kept_bytes)
                except OSError as error:
                    log.warning("log_not_rotated", directory=str(change.directory), error=str(error))

    def close(self) -> None:
        """Watch no more. Call once."""
        self._watcher.close()


def forget_old_replicas(directory: Path, living: set[str]) -> None:
    """Of a runtime's past replicas, keep the logs of the latest."""
    if not directory.exists():
        return
    past = [entry for entry in directory.iterdir() if entry.name not in living]
    past.sort(key=_last_change, reverse=True)
    for entry in past[PAST_REPLICAS:]:
        shutil.rmtree(entry, ignore_errors=True)


def _last_change(directory: Path) -> float:
    """The beginning of time for what another thread removed meanwhile."""
    try:
        return directory.stat().st_mtime
    except FileNotFoundError:
        return 0.0
