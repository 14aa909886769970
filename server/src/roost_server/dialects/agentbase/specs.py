"""From AgentBase's specification to Roost's configuration and access, and back. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from roost_server.dialects.agentbase import models
from roost_server.domain import config as domain
from roost_server.domain import errors, image
from roost_server.domain.access import Access, Jwt
from roost_server.domain.config import RegistryAuth, RuntimeConfig

POC = "agentbase.poc"
"""The label that keeps AgentBase's `poc`."""

DISCOVERY = "/.well-known/openid-configuration"
_MODES: Mapping[str, Literal["public", "token", "jwt"]] = {"NONE": "public", "IAM": "token", "JWT": "jwt"}
_SHOWN = {ours: theirs for theirs, ours in _MODES.items()}


Request = models.AgentRuntimeCreateRequest | models.AgentRuntimeUpdateRequest


def created(sent: models.AgentRuntimeCreateRequest) -> RuntimeConfig:
    """The configuration of a new runtime. Health is AgentBase's contract: GET /health on 8080."""
    return configured(sent, RuntimeConfig())


def configured(
    sent: models.AgentRuntimeCreateRequest | models.AgentRuntimeUpdateRequest, before: RuntimeConfig
) -> RuntimeConfig:
    """`before` with everything AgentBase knows of replaced; what only Roost knows of stays as it was."""
    source = _source(sent.imageUrl)
    scaling = sent.autoscaling
    return replace(
        before,
        build=replace(before.build, source=source, auth=_auth(sent.imageAuth, source, before)),
        process=replace(before.process, command=sent.command, args=sent.args),
        resources=replace(before.resources, flavor=sent.flavorId, cpu_cores=None, memory_mb=None),
        autoscaling=domain.Autoscaling(
            scaling.minReplicas, scaling.maxReplicas, scaling.cpuUtilization, scaling.memoryUtilization
        ),
        health=None if source.kind == "builtin" else before.health or domain.Health(),
        runtime_server=replace(before.runtime_server, env=sent.environmentVariables),
        metadata=replace(before.metadata, labels=_labels(before.metadata.labels, sent.poc)),
    )


def _source(url: str) -> domain.Source:
    if url == image.BUILTIN:
        return domain.Source()
    image.parse(url, ("imageUrl",))
    return domain.Source("image", url)


def _auth(
    sent: models.AgentRuntimeImageAuth | None, source: domain.Source, before: RuntimeConfig
) -> RegistryAuth | None:
    """Credentials that were left out stay, unless the image is of another registry."""
    if sent is None:
        return replace(before.build.auth, password=None) if before.build.auth and _same(source, before) else None
    if not sent.enabled or sent.username is None:
        return None
    return RegistryAuth(sent.username, sent.password)


def _same(source: domain.Source, before: RuntimeConfig) -> bool:
    return image.parse(source.ref).host == image.parse(before.build.source.ref).host


def _labels(labels: Mapping[str, str], poc: bool | None) -> dict[str, str]:
    if poc is None:
        return dict(labels)
    others = {key: value for key, value in labels.items() if key != POC}
    return {**others, POC: "true"} if poc else others


def guarded(sent: models.Extras, before: Access) -> Access:
    """Who may call the DEFAULT endpoint. What was left out stays. Raises `Invalid` for what Roost cannot check."""
    access = before
    if sent.inboundAuth is not None:
        jwt = _jwt(sent.inboundAuth.jwt) if sent.inboundAuth.mode == "JWT" else None
        access = replace(access, mode=_MODES[sent.inboundAuth.mode], jwt=jwt)
    if sent.allowedCidrs is not None:
        access = replace(access, allowed_cidrs=sent.allowedCidrs)
    return access


def _jwt(sent: models.AgentRuntimeInboundAuthJwt | None) -> Jwt:
    if sent is None or (sent.jwks is None) == (sent.discoveryUrl is None):
        raise _refused("jwt", "say whose tokens are accepted: give either discoveryUrl or jwks")
    for name in ("allowedClients", "allowedScopes"):
        if getattr(sent, name):
            raise _refused(f"jwt.{name}", "Roost cannot check these; require claims with its own API instead")
    issuer = None
    if sent.discoveryUrl is not None:
        if not sent.discoveryUrl.startswith(("http://", "https://")) or not sent.discoveryUrl.endswith(DISCOVERY):
            raise _refused("jwt.discoveryUrl", f"give an issuer's URL that ends in {DISCOVERY}")
        issuer = sent.discoveryUrl.removesuffix(DISCOVERY)
    try:
        return Jwt(
            issuer, jwks=sent.jwks, audiences=sent.allowedAudiences or [], user_claim=sent.principalClaim or "sub"
        )
    except ValueError as error:
        raise _refused("jwt", str(error)) from None


def _refused(where: str, why: str) -> errors.Invalid:
    field = f"inboundAuth.{where}"
    return errors.Invalid(f"cannot accept {field}: {why}", errors=[errors.FieldError((field,), why)])


def inbound(access: Access) -> models.AgentRuntimeInboundAuth:
    """Access as AgentBase says it."""
    jwt = access.jwt
    shown = None
    if jwt is not None:
        shown = models.AgentRuntimeInboundAuthJwt(
            jwks=jwt.jwks,
            discoveryUrl=None if jwt.jwks is not None else jwt.keys_url,
            allowedAudiences=jwt.audiences,
            principalClaim=jwt.user_claim,
        )
    return models.AgentRuntimeInboundAuth(mode=_SHOWN[access.mode], jwt=shown)


def spec(config: RuntimeConfig) -> models.SpecEntity:
    """A configuration as AgentBase says it."""
    source, scaling = config.build.source, config.autoscaling
    return models.SpecEntity(
        imageUrl=image.BUILTIN if source.kind == "builtin" else source.ref,
        command=config.process.command,
        args=config.process.args,
        environmentVariables=config.runtime_server.env,
        flavorId=config.resources.flavor,
        autoscaling=models.ScalingEntity(
            minReplicas=scaling.min_replicas,
            maxReplicas=scaling.max_replicas,
            cpuUtilization=scaling.cpu_utilization,
            memoryUtilization=scaling.memory_utilization,
        ),
    )
