"""Capacity: what one machine can hold at all. Asked when a configuration is accepted, so the error names the field."""

from dataclasses import dataclass

from roost_server.domain import errors
from roost_server.domain.config import Resources


@dataclass(frozen=True)
class Capacity:
    """The whole machine: cores and MiB of memory."""

    cpu_cores: float
    memory_mb: int

    def check(self, resources: Resources) -> None:
        """Raises `Invalid` for one replica that this machine could never run."""
        if resources.memory_mb > self.memory_mb:
            raise _too_much("memory_mb", f"{resources.memory_mb} MiB of memory", f"{self.memory_mb} MiB")
        if resources.cpu_cores > self.cpu_cores:
            raise _too_much("cpu_cores", f"{resources.cpu_cores:g} CPU cores", f"{self.cpu_cores:g}")


def _too_much(name: str, asked: str, has: str) -> errors.Invalid:
    message = f"cannot give a replica {asked}: this machine has {has}"
    where = ("config", "resources", name)
    return errors.Invalid(message, reason="no_capacity", errors=[errors.FieldError(where, message, "no_capacity")])
