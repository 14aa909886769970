"""AgentBase's bodies: what callers send and what they are shown. Field names are the wire's own."""

import ipaddress
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from roost_server.domain.config import ENV_NAME

VERSION_MAX = 2**31 - 1
Number = Annotated[int, Field(ge=1, le=VERSION_MAX, strict=True)]
Replicas = Annotated[int, Field(ge=1, le=10, strict=True)]
Percent = Annotated[int, Field(ge=25, le=75, strict=True)]


class Sent(BaseModel):
    """A body from a caller: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class AgentRuntimeImageAuth(Sent):
    """Registry credentials. The password is write-only."""

    enabled: bool = Field(True, strict=True, description="`false`: the registry wants none.")
    username: str | None = Field(None, min_length=1, max_length=256, description="Registry user name.")
    password: str | None = Field(
        None,
        min_length=1,
        max_length=16384,
        json_schema_extra={"writeOnly": True},
        description="Left out in an update: the one that is stored for this user.",
    )
    useAgentBaseRegistryCredentials: bool | None = Field(
        None, strict=True, description="Only `false`: Roost has no such registry."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.useAgentBaseRegistryCredentials:
            raise ValueError("Roost keeps no credentials of AgentBase's registry; give username and password")
        if self.enabled and self.username is None:
            raise ValueError("username is required while enabled is true")
        return self


class AgentRuntimeAutoscaling(Sent):
    """How many replicas, and at which use of their CPU or memory there are to be more."""

    minReplicas: Replicas = 1
    maxReplicas: Replicas = 1
    cpuUtilization: Percent = 50
    memoryUtilization: Percent = 50

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.maxReplicas < self.minReplicas:
            raise ValueError(f"maxReplicas ({self.maxReplicas}) must be at least minReplicas ({self.minReplicas})")
        return self


class AgentRuntimeNetworkConfig(Sent):
    mode: Literal["PUBLIC", "VPC"] = Field("PUBLIC", description="Only `PUBLIC`: Roost joins no VPC.")
    vpcId: str | None = None
    subnetId: str | None = None
    routeCidrs: list[str] | None = None

    @model_validator(mode="after")
    def _public(self) -> Self:
        if self.mode == "VPC":
            raise ValueError("Roost joins no VPC; use mode PUBLIC, and allowedCidrs to say who may call")
        return self


class AgentRuntimeInboundAuthJwt(Sent):
    """Whose tokens are accepted."""

    source: str | None = Field(None, max_length=100, description="Not read: the field that is given counts.")
    jwks: dict[str, Any] | None = Field(None, description="The keys themselves, as a JWK set.")
    discoveryUrl: str | None = Field(
        None, max_length=2048, description="An issuer's URL that ends in /.well-known/openid-configuration."
    )
    allowedAudiences: list[str] | None = Field(None, max_length=32)
    allowedClients: list[str] | None = Field(None, description="Only empty.")
    allowedScopes: list[str] | None = Field(None, description="Only empty.")
    principalClaim: str | None = Field(None, min_length=1, max_length=200)


class AgentRuntimeInboundAuth(Sent):
    """Who may call the DEFAULT endpoint."""

    mode: Literal["NONE", "IAM", "JWT"] = Field(
        description="`NONE`: anybody; `IAM`: who holds a token of the endpoint; `JWT`: tokens of an issuer."
    )
    jwt: AgentRuntimeInboundAuthJwt | None = None


def _named(variables: dict[str, str]) -> dict[str, str]:
    for name in variables:
        if not ENV_NAME.fullmatch(name):
            raise ValueError(f'"{name}" is no name of a variable: it must match [A-Za-z_][A-Za-z0-9_.-]*')
    return variables


def _ranges(cidrs: list[str] | None) -> list[str] | None:
    for cidr in cidrs or ():
        try:
            ipaddress.ip_network(cidr, strict=False)
        except ValueError:
            raise ValueError(f'"{cidr}" is no range such as 10.0.0.0/8 or 2001:db8::/32') from None
    return cidrs


def _time(value: object) -> datetime | None:
    """RFC 3339; a time without a zone is UTC's, an empty text is none."""
    if value in (None, ""):
        return None
    if not isinstance(value, str):
        raise ValueError("a time is a text such as 2026-01-31T12:00:00Z")
    time = datetime.fromisoformat(value)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


_TIME_OR_NONE = WithJsonSchema({"anyOf": [{"type": "string", "examples": ["2026-01-31T12:00:00Z"]}, {"type": "null"}]})
Time = Annotated[datetime | None, BeforeValidator(_time), _TIME_OR_NONE]
Variables = Annotated[
    dict[str, str], Field(max_length=500, description="Non-sensitive values only."), AfterValidator(_named)
]
Cidrs = Annotated[list[str] | None, Field(max_length=100), AfterValidator(_ranges)]
Command = Annotated[list[str], Field(max_length=256, description="Replaces the image's entrypoint, unless empty.")]
Arguments = Annotated[list[str], Field(max_length=1024, description="Replaces the image's cmd, unless empty.")]
Description = Annotated[str, Field(max_length=500)]
ImageUrl = Annotated[
    str, Field(min_length=1, max_length=512, description="An image reference, such as registry.example.com/agent:v1.")
]
FlavorId = Annotated[str, Field(min_length=1, max_length=63, description="The id of a flavor of GET /flavors.")]


class Extras(Sent):
    """What may be left out of a create and of an update; an update then leaves it as it is."""

    imageAuth: AgentRuntimeImageAuth | None = None
    networkConfig: AgentRuntimeNetworkConfig | None = None
    allowedCidrs: Cidrs = Field(None, description="Who may call the DEFAULT endpoint; all if empty.")
    inboundAuth: AgentRuntimeInboundAuth | None = None
    poc: bool | None = Field(None, strict=True, description="Kept and shown; nothing is charged.")


class AgentRuntimeUpdateRequest(Extras):
    """The whole specification: it replaces the one before."""

    description: Description
    imageUrl: ImageUrl
    command: Command
    args: Arguments
    environmentVariables: Variables
    flavorId: FlavorId
    autoscaling: AgentRuntimeAutoscaling
    name: str | None = Field(None, description="Only the name it has: it cannot be changed.")


class AgentRuntimeCreateRequest(Extras):
    name: str = Field(description="Unique: 1-63 lower-case letters, digits and hyphens.")
    description: Description = ""
    imageUrl: ImageUrl
    command: Command = Field(default_factory=list)
    args: Arguments = Field(default_factory=list)
    environmentVariables: Variables = Field(default_factory=dict)
    flavorId: FlavorId
    autoscaling: AgentRuntimeAutoscaling = Field(default_factory=lambda: AgentRuntimeAutoscaling())


class AgentRuntimeEndpointCreateRequest(Sent):
    name: str = Field(description="Unique in the runtime: 1-63 letters, digits and hyphens.")
    version: Number | None = Field(None, description="The latest as of now, if left out.")


class AgentRuntimeEndpointUpdateRequest(Sent):
    version: Number | None = None


class LogSearchRequest(Sent):
    first: int | None = Field(None, alias="from", ge=0, le=5000, strict=True, description="How many to skip.")
    limit: int | None = Field(None, ge=1, le=1000, strict=True, description="100 if left out.")
    fromTimestamp: Time = None
    toTimestamp: Time = None
    query: str | None = Field(None, max_length=200, description="Only lines with this text, in any case.")
    order: Literal["asc", "desc", "ASC", "DESC"] | None = Field(None, description="Oldest first if left out.")


class ScalingEntity(BaseModel):
    minReplicas: int
    maxReplicas: int
    cpuUtilization: int
    memoryUtilization: int


class SpecEntity(BaseModel):
    """What a version runs. Credentials of a registry are never shown."""

    imageUrl: str
    imageAuth: None = Field(None, description="Always null: credentials are only sent.")
    command: list[str]
    args: list[str]
    environmentVariables: dict[str, str]
    flavorId: str | None = Field(description="Null when the size was given in numbers.")
    autoscaling: ScalingEntity


class NetworkEntity(BaseModel):
    mode: Literal["PUBLIC"] = "PUBLIC"


class AgentRuntimeDto(SpecEntity):
    """A runtime, with the specification of its latest version."""

    id: str
    name: str
    description: str
    status: str
    statusReason: str | None = Field(description="Why it is not active, and what to do about it.")
    poc: bool
    createdAt: datetime
    updatedAt: datetime


class AgentRuntimeVersionEntity(SpecEntity):
    """Immutable. What is not kept by version (description, allowedCidrs, inboundAuth) is shown with the latest."""

    agentRuntimeId: str
    version: int
    description: str | None
    networkConfig: NetworkEntity
    allowedCidrs: list[str] | None
    inboundAuth: AgentRuntimeInboundAuth | None
    createdAt: datetime


class AgentRuntimeEndpointDto(BaseModel):
    id: str
    agentRuntimeId: str
    name: str
    version: int = Field(description="The version it points to.")
    targetVersion: int = Field(description="The same: what it serves once a rollout under way is done.")
    liveVersion: int | None = Field(description="The version that serves; null before the first does.")
    currentReplicaCount: int = Field(description="Replicas that serve it now.")
    url: str
    status: str
    displayStatus: str
    createdAt: datetime
    updatedAt: datetime


class LogRecord(BaseModel):
    timestamp: datetime
    content: str


class LogSearchResult(BaseModel):
    totalCount: int = Field(description="How many lines match; counting ends at 10000.")
    logs: list[LogRecord]


class MetricDataPointDouble(BaseModel):
    timestamp: datetime = Field(description="The step's beginning.")
    value: float


class MetricDataPointLong(BaseModel):
    timestamp: datetime = Field(description="The step's beginning.")
    value: int


class AgentRuntimeEndpointMetrics(BaseModel):
    cpuCoresUsage: list[MetricDataPointDouble] = Field(description="Cores, the mean of each step.")
    memoryBytesUsage: list[MetricDataPointLong] = Field(description="Bytes, the most of each step.")


class KubeEventDto(BaseModel):
    message: str
    lastTimestamp: datetime


class FlavorEntity(BaseModel):
    id: str
    name: str
    cpu: int | float = Field(description="Cores.")
    ram: int = Field(description="MiB.")
    supportedResourceTypes: list[str]
    enabled: bool
    deleted: bool
