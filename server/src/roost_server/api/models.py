"""What the API shows: one model a noun. The configuration's model is the domain's own."""

from datetime import datetime
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from roost_server.api.context import Api
from roost_server.domain import endpoint as hosts
from roost_server.domain.access import Access
from roost_server.domain.config import RuntimeConfig
from roost_server.domain.endpoint import EndpointStatus, Weights
from roost_server.domain.image import Image as ImageRow
from roost_server.domain.replica import Replica as ReplicaRow
from roost_server.domain.runtime import Status
from roost_server.domain.version import Version as VersionRow
from roost_server.operations.views import EndpointView, RuntimeView
from roost_server.store.images import Push as PushRow

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    items: list[T]
    next_cursor: str | None = Field(None, description="Send it as `cursor` for the next page; null at the end.")


class Share(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    version: int = Field(ge=1, le=2**31 - 1)
    weight: int = Field(ge=0, le=100, description="Percent of the requests.")


class Kept(BaseModel):
    version: int = Field(description="Served before; its replicas stay ready, so that going back takes a moment.")
    until: datetime


class Endpoint(BaseModel):
    id: str
    name: str
    default: bool = Field(description="Whether the runtime's own URL leads here.")
    url: str
    status: EndpointStatus
    version: int | None = Field(description="The version that last served alone; null before the first is ready.")
    target_version: int = Field(description="The version that should serve, once no split is set.")
    pinned: bool = Field(description="False: follows the latest applied version.")
    split: list[Share] | None = Field(description="The weights that were asked for; null: one version serves.")
    live: list[Share] = Field(description="What serves now. Empty when nothing does.")
    kept: Kept | None
    ready_replicas: int = Field(description="Replicas that serve it now.")
    routed: bool = Field(
        description="Whether the gateway has what is told here: the versions, and who may call (see `message`)."
    )
    message: str | None = Field(description="What keeps callers out whom it should let in, such as keys not to be had.")
    access: Access
    revision: int
    created_at: datetime
    updated_at: datetime


class Replicas(BaseModel):
    wanted: int
    ready: int


class Runtime(BaseModel):
    id: str
    name: str
    description: str
    status: Status
    reason: str | None = Field(description="Why it is not active: one word from a fixed set.")
    message: str | None = Field(description="The same for people, with what to do about it.")
    version: int = Field(description="The latest version.")
    applied_version: int = Field(description="What endpoints that follow the latest are to serve.")
    replicas: Replicas
    url: str = Field(description="Its DEFAULT endpoint.")
    alias_url: str | None = Field(description="The readable URL; null when its name would be too long for DNS.")
    endpoints: list[Endpoint]
    stale: bool = Field(description="Whether an endpoint that follows the latest version does not serve it (yet).")
    labels: dict[str, str]
    revision: int
    created_at: datetime
    updated_at: datetime


class Replica(BaseModel):
    id: str
    version: int
    status: str
    reason: str | None
    message: str | None
    address: str | None
    routed: bool = Field(description="Whether the gateway sends it new requests.")
    exit_code: int | None
    restarts: int
    phases: dict[str, float] = Field(
        description="Seconds of its latest start: queued, image, disk, network, process, health."
    )
    created_at: datetime
    started_at: datetime | None
    ready_at: datetime | None
    updated_at: datetime


class Version(BaseModel):
    version: int
    config: RuntimeConfig
    cpu_cores: float = Field(description="Of one replica, whatever flavor says so.")
    memory_mb: int
    image_id: str
    created_at: datetime


class Event(BaseModel):
    id: str
    type: str
    reason: str | None
    message: str
    replica_id: str | None
    data: dict[str, object]
    created_at: datetime


class ImageProgress(BaseModel):
    step: str
    done_bytes: int
    total_bytes: int = Field(description="0 while unknown.")


class Image(BaseModel):
    id: str
    reference: str
    source: str
    status: str
    reason: str | None
    message: str | None
    digest: str | None
    architecture: str | None
    size_bytes: int | None
    progress: ImageProgress
    revision: int
    created_at: datetime
    updated_at: datetime


class Push(BaseModel):
    id: str
    image_id: str
    reference: str
    status: str
    reason: str | None
    message: str | None


def endpoint(api: Api, view: EndpointView) -> Endpoint:
    row = view.endpoint
    kept = None
    if row.kept_version is not None and row.kept_until is not None:
        kept = Kept(version=row.kept_version, until=row.kept_until)
    return Endpoint(
        id=row.id,
        name=row.name,
        default=row.is_default,
        url=api.url_of(row.id),
        status=view.status,
        version=row.live_version,
        target_version=row.target(view.runtime.applied_version),
        pinned=row.pinned_version is not None,
        split=None if row.split is None else shares(row.split),
        live=shares(row.live),
        kept=kept,
        ready_replicas=view.ready,
        routed=view.routed,
        message=view.message,
        access=row.access,
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def shares(weights: Weights) -> list[Share]:
    return [Share(version=version, weight=weight) for version, weight in weights.items()]


def runtime(api: Api, view: RuntimeView) -> Runtime:
    row, workspace = view.runtime, view.workspace
    alias = hosts.alias(row.name, workspace.slug, workspace.organization_slug)
    return Runtime(
        id=row.id,
        name=row.name,
        description=row.description,
        status=row.status,
        reason=row.reason,
        message=row.message,
        version=row.version,
        applied_version=row.applied_version,
        replicas=Replicas(wanted=view.replicas.wanted, ready=view.replicas.ready),
        url=api.url_of(row.id),
        alias_url=api.url_of(alias) if alias else None,
        endpoints=[endpoint(api, one) for one in view.endpoints],
        stale=view.stale,
        labels=row.labels,
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def replica(row: ReplicaRow) -> Replica:
    return Replica.model_validate(row, from_attributes=True)


def image(row: ImageRow) -> Image:
    return Image.model_validate(row, from_attributes=True)


def push(row: PushRow) -> Push:
    return Push.model_validate(row, from_attributes=True)


def version(row: VersionRow) -> Version:
    size = row.resources
    return Version(
        version=row.number,
        config=row.config,
        cpu_cores=size.cores,
        memory_mb=size.memory,
        image_id=row.image_id,
        created_at=row.created_at,
    )
