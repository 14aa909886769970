"""Capacity: what one machine can hold at all. Asked when a configuration is accepted, so the error names the field."""

from dataclasses import dataclass

from roost_server.domain import errors
from roost_server.domain.config import Resources


@dataclass(frozen=True)
class Capacity:
    """The whole machine: cores and MiB of memory."""

    cpu_cores: float
    memory_mb: int

    def check(
        self, resources: Resources, *, flavor: str | None = None, within: tuple[str, ...] = ("config", "resources")
    ) -> None:
        """Raises `Invalid` for one replica that this machine could never run, naming the field that asked for it,
        which stands `within` the body."""
        of = f" of flavor {flavor}" if flavor else ""
        if resources.memory > self.memory_mb:
            asked, has = f"{resources.memory} MiB of memory{of}", f"{self.memory_mb} MiB"
            raise _too_much((*within, "flavor" if flavor else "memory_mb"), asked, has)
        if resources.cores > self.cpu_cores:
            asked, has = f"{resources.cores:g} CPU cores{of}", f"{self.cpu_cores:g}"
            raise _too_much((*within, "flavor" if flavor else "cpu_cores"), asked, has)

    def holds(self, resources: Resources) -> bool:
        """Whether this machine could run one such replica."""
        return resources.memory <= self.memory_mb and resources.cores <= self.cpu_cores


def _too_much(where: tuple[str, ...], asked: str, has: str) -> errors.Invalid:
    message = f"cannot give a replica {asked}: this machine has {has}"
    return errors.Invalid(message, reason="no_capacity", errors=[errors.FieldError(where, message, "no_capacity")])
