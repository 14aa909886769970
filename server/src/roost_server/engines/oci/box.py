"""The state of boxes on disk: one small file each, written before anything is made and removed last.

So whatever a killed server left behind is found by the replica's id. Files are replaced whole, never changed.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from roost_server.engines.oci.linux.processes import Process


class Stage(StrEnum):
    MAKING = "making"  # a create is under way, or was cut off
    STARTED = "started"  # its process was started; it may have ended since
    REMOVING = "removing"  # its process ended and a delete is under way, or was cut off


@dataclass(frozen=True)
class BoxState:
    """`init` is the box's first process, `monitor` the conmon that outlives it for a moment. Times are RFC 3339."""

    id: str
    runtime_id: str
    address: str
    stop_signal: str
    stop_grace_seconds: float
    boot_id: str
    stage: Stage = Stage.MAKING
    init: Process | None = None
    monitor: Process | None = None
    started_at: str | None = None
    phases: dict[str, float] = field(default_factory=dict)

    def with_stage(self, stage: Stage) -> "BoxState":
        return replace(self, stage=stage)


def _from_json(value: dict[str, Any]) -> BoxState:
    for name in ("init", "monitor"):
        value[name] = Process(**value[name]) if value[name] else None
    return BoxState(**{**value, "stage": Stage(value["stage"])})


class BoxStates:
    """All states of an installation, kept in memory too: only one server works on a data directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._states: dict[str, BoxState] = {}

    def load(self) -> list[str]:
        """Read what lies on disk. Answers the ids whose state cannot be read: leftovers to be removed."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._states.clear()
        broken = []
        for entry in self._directory.iterdir():
            try:
                self._states[entry.name] = _from_json(json.loads((entry / "box.json").read_text()))
            except (OSError, ValueError, KeyError, TypeError):
                broken.append(entry.name)
        return broken

    def get(self, replica_id: str) -> BoxState | None:
        return self._states.get(replica_id)

    def __iter__(self) -> Iterator[BoxState]:
        return iter(list(self._states.values()))

    def put(self, state: BoxState) -> None:
        directory = self._directory / state.id
        directory.mkdir(mode=0o700, exist_ok=True)
        partial = directory / "box.json.partial"
        partial.write_text(json.dumps(asdict(state)))
        partial.replace(directory / "box.json")
        self._states[state.id] = state

    def forget(self, replica_id: str) -> None:
        """Out of memory; whoever removes the box's directory removes it from disk."""
        self._states.pop(replica_id, None)
