"""RuntimeConfig v2 as typed dictionaries, and the short options that `create` and `roost run` translate to it.

The server's document is passed through as it is, so a field that this client does not know yet works too.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Literal, TypedDict, cast

BUILTIN = "builtin:runtime"


class Source(TypedDict, total=False):
    kind: Literal["builtin", "image"]
    ref: str


class RegistryAuth(TypedDict, total=False):
    username: str
    password: str | None


class Build(TypedDict, total=False):
    profile: str
    provider: str
    source: Source
    auth: RegistryAuth | None


class Process(TypedDict, total=False):
    command: list[str]
    args: list[str]
    user: str | None
    workdir: str | None


class Resources(TypedDict, total=False):
    """A flavor, or the numbers."""

    flavor: str | None
    cpu_cores: float | None
    memory_mb: int | None
    disk_mb: int
    max_processes: int


class Autoscaling(TypedDict, total=False):
    min_replicas: int
    max_replicas: int
    cpu_utilization: int
    memory_utilization: int


class Health(TypedDict, total=False):
    port: int
    path: str
    start_timeout_seconds: int


class RuntimeServer(TypedDict, total=False):
    env: dict[str, str]


class Sandbox(TypedDict, total=False):
    exposed_ports: list[int]
    workspace_mount: bool
    isolation: Literal["auto", "container"]


class Capability(TypedDict, total=False):
    name: str
    version: str | None
    enabled: bool


class Defaults(TypedDict, total=False):
    agent: str | None
    capability: str | None
    model: str | None
    system_prompt: str | None


class Metadata(TypedDict, total=False):
    labels: dict[str, str]


class RuntimeConfig(TypedDict, total=False):
    """The whole document. What is left out takes the server's default."""

    version: Literal["v2"]
    build: Build
    process: Process
    resources: Resources
    autoscaling: Autoscaling
    health: Health | None
    runtime_server: RuntimeServer
    sandbox: Sandbox
    capabilities: list[Capability]
    defaults: Defaults
    metadata: Metadata


class Jwt(TypedDict, total=False):
    """Whose tokens are accepted: keys from `jwks`, from `jwks_uri`, or from what `issuer` publishes."""

    issuer: str | None
    jwks_uri: str | None
    jwks: dict[str, Any] | None
    audiences: list[str]
    required_claims: dict[str, str | bool | int | list[str]]
    user_claim: str


class RateLimit(TypedDict, total=False):
    requests: int
    per_seconds: int


class Access(TypedDict, total=False):
    """Who may call an endpoint, and how often. What is left out takes the server's default."""

    mode: Literal["public", "token", "jwt"]
    jwt: Jwt | None
    allowed_cidrs: list[str]
    rate_limit: RateLimit | None


class CanaryOptions(TypedDict, total=False):
    """How a canary is to go. `steps` are percents of the traffic, rising to 100; each lasts `interval_seconds`, and
    until the new version had `min_requests`. It goes when more than `max_error_rate` (0 to 1) of its requests fail, or
    its 95th percentile is more than `max_p95_ratio` times the old version's."""

    steps: list[int]
    interval_seconds: float
    max_error_rate: float
    max_p95_ratio: float
    min_requests: int


class RunOptions(TypedDict, total=False):
    """Short words for the fields that are set most often. They win over the same field of `config`.

    `replicas` always run; with `max_replicas` more are started when they are busier than `cpu_utilization` or
    `memory_utilization` percent.
    """

    cpus: float
    memory_mb: int
    flavor: str
    disk_mb: int
    env: Mapping[str, str]
    labels: Mapping[str, str]
    replicas: int
    max_replicas: int
    cpu_utilization: int
    memory_utilization: int
    command: list[str]
    args: list[str]
    user: str
    workdir: str
    port: int
    health_path: str
    health: bool
    exposed_ports: list[int]
    isolation: Literal["auto", "container"]
    registry_username: str
    registry_password: str


_PLACES: dict[str, tuple[str, ...]] = {
    "cpus": ("resources", "cpu_cores"),
    "memory_mb": ("resources", "memory_mb"),
    "flavor": ("resources", "flavor"),
    "disk_mb": ("resources", "disk_mb"),
    "env": ("runtime_server", "env"),
    "labels": ("metadata", "labels"),
    "replicas": ("autoscaling", "min_replicas"),
    "max_replicas": ("autoscaling", "max_replicas"),
    "cpu_utilization": ("autoscaling", "cpu_utilization"),
    "memory_utilization": ("autoscaling", "memory_utilization"),
    "command": ("process", "command"),
    "args": ("process", "args"),
    "user": ("process", "user"),
    "workdir": ("process", "workdir"),
    "port": ("health", "port"),
    "health_path": ("health", "path"),
    "exposed_ports": ("sandbox", "exposed_ports"),
    "isolation": ("sandbox", "isolation"),
    "registry_username": ("build", "auth", "username"),
    "registry_password": ("build", "auth", "password"),
}


def compose(image: str | None, config: RuntimeConfig | None, options: RunOptions) -> RuntimeConfig:
    """The document that an image and short options mean, over `config`, which is left as it is.

    `env` and `labels` are added to those of `config`. `health=False` means: ready when the process runs. A flavor
    takes the place of the numbers of `config`, and numbers that of its flavor.
    """
    document: dict[str, Any] = deepcopy(dict(config or {}))
    if image is not None:
        kind, ref = ("builtin", "runtime") if image == BUILTIN else ("image", image)
        _put(document, ("build", "source"), {"kind": kind, "ref": ref})
    if options.get("health") is False:
        document["health"] = None
    given = {name: value for name, value in options.items() if name in _PLACES and value is not None}
    _clear_size(document.get("resources", {}), given)
    for name, value in given.items():
        _put(document, _PLACES[name], value)
    if "max_replicas" not in given:
        _make_room_for_replicas(document)
    return cast(RuntimeConfig, document)


def _clear_size(resources: dict[str, Any], given: Mapping[str, Any]) -> None:
    """A replica's size is said in one way: by a flavor, or in numbers."""
    if "flavor" in given:
        resources.pop("cpu_cores", None)
        resources.pop("memory_mb", None)
    elif "cpus" in given or "memory_mb" in given:
        resources.pop("flavor", None)


def _put(document: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    *folders, name = place
    for folder in folders:
        document[folder] = document.get(folder) or {}
        document = document[folder]
    document[name] = {**document.get(name, {}), **value} if name in ("env", "labels") else value


def _make_room_for_replicas(document: dict[str, Any]) -> None:
    scaling = document.get("autoscaling", {})
    if scaling.get("min_replicas", 1) > scaling.get("max_replicas", 1):
        scaling["max_replicas"] = scaling["min_replicas"]
