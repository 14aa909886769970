"""What an engine is: four methods, each callable again in any order, and small protocols it may also satisfy.

`Invalid` is raised for what can never work (it is not retried), `Unavailable` for what may work later; both carry a
`reason` from `domain.runtime.Reason`. Anything else that escapes an engine is a bug.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from roost_server.domain.config import Health, RegistryAuth
from roost_server.domain.exec import ExecRequest, ExecResult
from roost_server.domain.image import ImageInfo, Progress
from roost_server.domain.log import LogLine, LogPage, LogQuery
from roost_server.domain.replica import Box, ReplicaSpec, Usage

OnProgress = Callable[[Progress], None]
OnLine = Callable[[str], None]


class Engine(Protocol):
    async def create(self, replica: ReplicaSpec) -> Box:
        """Make the box and start it. Idempotent by `replica.id`: a running box is returned as it is, a box that a
        cut-off create left behind is finished or made anew, an exited one is returned as exited."""
        ...

    async def inspect(self, replica_id: str) -> Box | None:
        """What is there now, or None. Never waits for anything."""
        ...

    async def list(self) -> list[Box]:
        """Every box of this installation, whoever made it."""
        ...

    async def delete(self, replica_id: str, *, force: bool = False) -> None:
        """Stop it (stop signal, grace, kill; `force` kills at once) and remove its box, disk and network.
        Removing what is gone succeeds. Its logs stay."""
        ...


@runtime_checkable
class Hosted(Protocol):
    """An engine that prepares the host before its first box."""

    async def start(self) -> None:
        """Prepare the host and adopt what runs. Starting again succeeds."""
        ...

    async def close(self) -> None:
        """Let go; boxes keep running."""
        ...

    async def destroy(self) -> None:
        """Remove every box and all that was prepared on the host."""
        ...


@runtime_checkable
class Reachable(Protocol):
    """An engine whose boxes may reach the API, at an address of their host that is theirs alone."""

    def host_address(self) -> str | None:
        """That address, once started; None when boxes may not. What else listens there stays out of their reach."""
        ...


@runtime_checkable
class Watches(Protocol):
    def changes(self) -> AsyncIterator[str]:
        """Replica ids whose box may have changed (a process ended). May repeat, may miss: only a nudge."""
        ...


@runtime_checkable
class Execs(Protocol):
    async def exec(self, replica_id: str, request: ExecRequest) -> ExecResult:
        """Run one command inside. Raises `NotFound` when the box is gone, `Conflict` when it does not run."""
        ...


@runtime_checkable
class Logs(Protocol):
    async def read_logs(self, runtime_id: str, query: LogQuery) -> LogPage:
        """Lines of all the runtime's replicas, past ones included, in time order."""
        ...

    def follow_logs(self, runtime_id: str, query: LogQuery) -> AsyncIterator[LogLine]:
        """Lines that match, from `query.since` or `query.cursor` (else from now) on, until the caller stops or the
        runtime's logs are forgotten."""
        ...

    async def forget_logs(self, runtime_id: str) -> None:
        """Remove the runtime's logs; who follows them hears that they ended. Removing what is gone succeeds."""
        ...


@runtime_checkable
class Probes(Protocol):
    async def probe(self, replica_id: str, health: Health) -> str | None:
        """Ask a replica's health in the engine's own way: None when it is healthy, else what it answered. Engines
        whose replicas listen on `Box.address` leave this out and are asked over HTTP."""
        ...


@runtime_checkable
class Measures(Protocol):
    async def measure(self) -> dict[str, Usage]:
        """What each running box uses now, by replica id."""
        ...


@runtime_checkable
class Images(Protocol):
    """Images of this machine. Content is kept per digest; callers at once share one pull."""

    async def pull(self, reference: str, auth: RegistryAuth | None, progress: OnProgress) -> ImageInfo:
        """Fetch and unpack what `reference` (host included) points to now, for this machine's architecture."""
        ...

    async def load(self, archive: Path, progress: OnProgress) -> ImageInfo:
        """Import an oci-archive or docker-archive."""
        ...

    async def build(
        self,
        context: Path,
        dockerfile: str,
        build_args: dict[str, str],
        local: dict[str, str],
        write_line: OnLine,
    ) -> ImageInfo:
        """Build a Dockerfile in a directory. `local` maps names that FROM may use to digests on this machine."""
        ...

    async def make_builtin(self, progress: OnProgress) -> ImageInfo:
        """`builtin:runtime`, made once and then kept."""
        ...

    async def push(self, digest: str, reference: str, auth: RegistryAuth | None, progress: OnProgress) -> None:
        """Copy an image of this machine to a registry."""
        ...

    async def images(self) -> list[ImageInfo]:
        """Everything unpacked on this machine."""
        ...

    async def keep_only(self, digests: Sequence[str]) -> int:
        """Remove every other image that no box uses; how many bytes that freed."""
        ...
