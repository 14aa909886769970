"""RuntimeConfig v2: what a runtime's version consists of. One definition for the API, the store and the engines.

Plain dataclasses: the constraints and sentences in `metadata` are read by the API's validation and its OpenAPI
document, so that there is no second model to keep equal. Rules that span fields stand in `__post_init__`.
Wire facts: the durable configuration document `v2`, extended by Roost (process, health, isolation).
"""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

STRICT = {"extra": "forbid"}
"""Read by the API's validation: unknown fields are refused."""

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
LABEL_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")


def described(sentence: str, **constraints: Any) -> dict[str, Any]:
    """Field metadata: the sentence shown in OpenAPI and the constraints that validation enforces. Numbers must be
    numbers: `strict` refuses "512" where 512 is meant."""
    strict = {"strict": True} if "ge" in constraints else {}
    return {"description": sentence, **strict, **constraints}


@dataclass(frozen=True)
class Source:
    """Where the image comes from."""

    __pydantic_config__ = STRICT
    kind: Literal["builtin", "image"] = field(
        default="builtin", metadata=described("`builtin` is the image Roost makes; `image` is a reference.")
    )
    ref: str = field(
        default="runtime",
        metadata=described(
            "`runtime` for builtin; else an image reference, such as `registry.example.com/team/agent:v1`.",
            min_length=1,
            max_length=512,
        ),
    )

    def __post_init__(self) -> None:
        if self.kind == "builtin" and self.ref != "runtime":
            raise ValueError(f'the only builtin image is "runtime", not "{self.ref}"; for your own use kind "image"')


@dataclass(frozen=True)
class RegistryAuth:
    """Credentials for the image's registry. The password is write-only."""

    __pydantic_config__ = STRICT
    username: str = field(metadata=described("Registry user name.", min_length=1, max_length=256))
    password: str | None = field(
        default=None,
        repr=False,
        metadata=described(
            "Write-only; leave out to keep the one already stored.",
            max_length=16384,
            json_schema_extra={"writeOnly": True},
        ),
    )


@dataclass(frozen=True)
class Build:
    __pydantic_config__ = STRICT
    profile: str = field(default="default", metadata=described("Kept, not interpreted.", min_length=1, max_length=100))
    provider: str = field(
        default="auto",
        metadata=described("The engine to run on; `auto` is the platform's.", min_length=1, max_length=32),
    )
    source: Source = field(default_factory=Source)
    auth: RegistryAuth | None = None


@dataclass(frozen=True)
class Process:
    """Overrides of what the image says to run."""

    __pydantic_config__ = STRICT
    command: list[str] = field(
        default_factory=list, metadata=described("Replaces the image's entrypoint.", max_length=256)
    )
    args: list[str] = field(default_factory=list, metadata=described("Replaces the image's cmd.", max_length=1024))
    user: str | None = field(
        default=None, metadata=described("`user`, `uid` or `uid:gid`.", min_length=1, max_length=64)
    )
    workdir: str | None = field(default=None, metadata=described("An absolute path.", pattern="^/", max_length=4096))

    def __post_init__(self) -> None:
        if self.workdir is not None and not self.workdir.startswith("/"):
            raise ValueError(f'workdir must be an absolute path, not "{self.workdir}"')
        for word in (*self.command, *self.args):
            if "\0" in word:
                raise ValueError("command and args cannot hold NUL characters")


@dataclass(frozen=True)
class Resources:
    """Size of one replica: a flavor's, or `cpu_cores` (1 if unset) and `memory_mb` (1024 if unset)."""

    __pydantic_config__ = STRICT
    flavor: str | None = field(
        default=None, metadata=described("A named size of the catalogue, such as `1x1-general`.", max_length=63)
    )
    cpu_cores: float | None = field(default=None, metadata=described("CPU cores.", ge=0.1, le=128))
    memory_mb: int | None = field(default=None, metadata=described("Memory in MiB.", ge=64, le=1048576))
    disk_mb: int = field(default=10240, metadata=described("Writable disk in MiB, above the image.", ge=64, le=4194304))
    max_processes: int = field(default=1024, metadata=described("Processes and threads.", ge=16, le=32768))

    def __post_init__(self) -> None:
        if self.flavor is None:
            object.__setattr__(self, "cpu_cores", 1 if self.cpu_cores is None else self.cpu_cores)
            object.__setattr__(self, "memory_mb", 1024 if self.memory_mb is None else self.memory_mb)
        elif self.cpu_cores is not None or self.memory_mb is not None:
            raise ValueError("flavor says cpu_cores and memory_mb: give either the flavor or the numbers")

    @property
    def cores(self) -> float:
        """CPU cores, where no flavor stands for them."""
        assert self.cpu_cores is not None
        return self.cpu_cores

    @property
    def memory(self) -> int:
        """MiB of memory, where no flavor stands for them."""
        assert self.memory_mb is not None
        return self.memory_mb


@dataclass(frozen=True)
class Autoscaling:
    """How many replicas, and at which use of their CPU or memory there are to be more."""

    __pydantic_config__ = STRICT
    min_replicas: int = field(default=1, metadata=described("Always running.", ge=1, le=10))
    max_replicas: int = field(default=1, metadata=described("Never more.", ge=1, le=10))
    cpu_utilization: int = field(default=50, metadata=described("Percent that triggers scale-out.", ge=25, le=75))
    memory_utilization: int = field(default=50, metadata=described("Percent that triggers scale-out.", ge=25, le=75))

    def __post_init__(self) -> None:
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas ({self.max_replicas}) must be at least min_replicas ({self.min_replicas})")


@dataclass(frozen=True)
class Health:
    """The probe that decides whether a replica is ready."""

    __pydantic_config__ = STRICT
    port: int = field(default=8080, metadata=described("Where the agent listens.", ge=1, le=65535))
    path: str = field(
        default="/health", metadata=described("Must answer 200 to GET.", pattern="^/[!-~]*$", max_length=1024)
    )
    start_timeout_seconds: int = field(
        default=120, metadata=described("How long a start may take until the first 200.", ge=1, le=3600)
    )

    def __post_init__(self) -> None:
        if not re.fullmatch(r"/[!-~]*", self.path):
            raise ValueError(f'path must begin with "/" and hold no spaces, not "{self.path}"')


class _ByImage(Health):
    """Left out: what suits the image, which `RuntimeConfig` fills in."""


@dataclass(frozen=True)
class RuntimeServer:
    __pydantic_config__ = STRICT
    env: dict[str, str] = field(
        default_factory=dict, metadata=described("Environment variables, non-sensitive.", max_length=500)
    )

    def __post_init__(self) -> None:
        for name, value in self.env.items():
            if not ENV_NAME.fullmatch(name):
                raise ValueError(f'env name "{name}" must match [A-Za-z_][A-Za-z0-9_.-]*')
            if "\0" in value:
                raise ValueError(f'env value of "{name}" cannot hold NUL characters')


@dataclass(frozen=True)
class Sandbox:
    __pydantic_config__ = STRICT
    exposed_ports: list[int] = field(
        default_factory=list,
        metadata=described("Further ports that get a host `<port>-<runtime-id>` of their own.", max_length=32),
    )
    workspace_mount: bool = field(
        default=True, metadata=described("Accepted for compatibility; has no effect.", strict=True)
    )
    isolation: Literal["auto", "container"] = field(
        default="auto",
        metadata=described("How strongly replicas are isolated; `auto` is the platform's choice."),
    )

    def __post_init__(self) -> None:
        for port in self.exposed_ports:
            if not 1 <= port <= 65535:
                raise ValueError(f"exposed port {port} must be between 1 and 65535")
        object.__setattr__(self, "exposed_ports", sorted(set(self.exposed_ports)))


@dataclass(frozen=True)
class Capability:
    """A capability binding, kept for the agent to read."""

    __pydantic_config__ = STRICT
    name: str = field(metadata=described("Unique within the configuration.", min_length=1, max_length=200))
    version: str | None = field(default=None, metadata=described("Kept as given.", max_length=100))
    enabled: bool = field(default=True, metadata=described("Whether the agent is to use it.", strict=True))


@dataclass(frozen=True)
class Defaults:
    """Defaults for new sessions, kept for the agent to read."""

    __pydantic_config__ = STRICT
    agent: str | None = field(default=None, metadata={"max_length": 200})
    capability: str | None = field(default=None, metadata={"max_length": 200})
    model: str | None = field(default=None, metadata={"max_length": 200})
    system_prompt: str | None = field(default=None, metadata={"max_length": 100_000})


@dataclass(frozen=True)
class Metadata:
    __pydantic_config__ = STRICT
    labels: dict[str, str] = field(default_factory=dict, metadata=described("For search and inventory.", max_length=64))

    def __post_init__(self) -> None:
        for key, value in self.labels.items():
            if not LABEL_KEY.fullmatch(key):
                raise ValueError(f'label key "{key}" must be 1-63 letters, digits, ".", "_", "/" or "-"')
            if len(value) > 255:
                raise ValueError(f'label "{key}" has a value of {len(value)} characters; at most 255 fit')


@dataclass(frozen=True)
class RuntimeConfig:
    """The whole document. `PUT …/config` replaces it; omitted fields return to these defaults."""

    __pydantic_config__ = STRICT
    version: Literal["v2"] = "v2"
    build: Build = field(default_factory=Build)
    process: Process = field(default_factory=Process)
    resources: Resources = field(default_factory=Resources)
    autoscaling: Autoscaling = field(default_factory=Autoscaling)
    health: Health | None = field(
        default_factory=_ByImage,
        metadata=described(
            "The readiness probe. `null`: ready when the process runs. Left out: `null` for builtin images, "
            "GET /health on 8080 for others.",
        ),
    )
    runtime_server: RuntimeServer = field(default_factory=RuntimeServer)
    sandbox: Sandbox = field(default_factory=Sandbox)
    capabilities: list[Capability] = field(default_factory=list, metadata={"max_length": 200})
    defaults: Defaults = field(default_factory=Defaults)
    metadata: Metadata = field(default_factory=Metadata)

    def __post_init__(self) -> None:
        names = [capability.name for capability in self.capabilities]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'capability "{name}" is listed more than once')
        if isinstance(self.health, _ByImage):
            object.__setattr__(self, "health", None if self.build.source.kind == "builtin" else Health())

    @property
    def probe(self) -> Health | None:
        """The readiness probe, or None when a running process is enough."""
        return self.health
