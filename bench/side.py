"""What is measured, and what both sides must offer for it."""

from dataclasses import dataclass
from typing import Protocol

MEMORY_MB = 1024
CPU_CORES = 1
MAX_PROCESSES = 1024
AGENT_PORT = 8080


@dataclass(frozen=True)
class Address:
    """Where to send a request. `prefix` is the command that reaches the network it is in."""

    host: str
    port: int
    host_header: str
    prefix: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agent:
    """A running box that serves HTTP: `direct` to itself, `entry` as a user would reach it."""

    box: str
    direct: Address
    entry: Address


class Side(Protocol):
    """One of the two. Every method returns when it is done, and raises when it did not succeed."""

    name: str

    def create(self, name: str) -> str:
        """Create and start a box; the answer is what the other methods know it by."""
        ...

    def exec(self, box: str, command: list[str]) -> str:
        """Run a command in a box; its standard output."""
        ...

    def delete(self, box: str) -> None:
        """Stop a box (its stop signal first) and remove it."""
        ...

    def serve(self, name: str, program: str) -> Agent:
        """Create a box that runs the Python program, which serves HTTP on `AGENT_PORT`."""
        ...

    def replace(self, agent: Agent, program: str) -> None:
        """Make a served agent run another program, at the same entry, so that going back is possible."""
        ...

    def go_back(self, agent: Agent) -> None:
        """Make it run again what it ran before the last `replace`."""
        ...

    def version(self) -> str:
        """What is measured, in a few words."""
        ...
