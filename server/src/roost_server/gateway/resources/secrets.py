"""Certificates as Envoy secrets, and where the TLS listener finds them.

Two ways: one certificate for every host (the operator's, or a wildcard of the local CA), or one per host made when
a client first asks for it, because clients do not accept a wildcard directly below a top-level name, such as
`*.localhost`.
"""

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from google.protobuf import json_format
from xds.type.v3 import typed_struct_pb2

from roost_server.gateway.resources import wire
from roost_server.gateway.resources.clusters import from_ads
from roost_server.gateway.resources.wire import Resource

SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
DEFAULT = "server"
_ON_DEMAND = "type.googleapis.com/envoy.extensions.transport_sockets.tls.cert_selectors.on_demand_secret.v3.Config"
_BY_SNI = "type.googleapis.com/envoy.extensions.transport_sockets.tls.cert_mappers.sni.v3.SNI"


def secret(name: str, chain_pem: bytes, key_pem: bytes) -> Resource:
    """A certificate chain and its private key."""
    made = secret_pb2.Secret(
        name=name,
        tls_certificate=common_pb2.TlsCertificate(
            certificate_chain=base_pb2.DataSource(inline_bytes=chain_pem),
            private_key=base_pb2.DataSource(inline_bytes=key_pem),
        ),
    )
    return Resource.of(SECRET, name, wire.serialized(made))


def one_for_all() -> Any:
    """The DownstreamTlsContext when every host has the same certificate."""
    source = secret_pb2.SdsSecretConfig(name=DEFAULT, sds_config=from_ads())
    return tls_pb2.DownstreamTlsContext(common_tls_context=_common(tls_certificate_sds_secret_configs=[source]))


def one_per_host() -> Any:
    """The DownstreamTlsContext when the secret's name is the name that the client asks for (SNI). Envoy cannot
    resume sessions then and insists on being told so."""
    context = _common()
    selector = context.custom_tls_certificate_selector
    selector.name = "envoy.tls.certificate_selectors.on_demand_secret"
    selector.typed_config.Pack(_on_demand(), deterministic=True)
    return tls_pb2.DownstreamTlsContext(
        common_tls_context=context,
        disable_stateless_session_resumption=True,
        disable_stateful_session_resumption=True,
    )


def _common(**source: Any) -> Any:
    """HTTP/2 and HTTP/1.1 over TLS 1.2 or later."""
    return tls_pb2.CommonTlsContext(
        tls_params=common_pb2.TlsParameters(tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2),
        alpn_protocols=["h2", "http/1.1"],
        **source,
    )


def _on_demand() -> Any:
    """As a TypedStruct: Envoy has this message, xds-protos does not carry it yet."""
    made = typed_struct_pb2.TypedStruct(type_url=_ON_DEMAND)
    made.value.update(
        {
            "config_source": json_format.MessageToDict(from_ads(), preserving_proto_field_name=True),
            "certificate_mapper": {"name": "sni", "typed_config": {"@type": _BY_SNI, "default_value": DEFAULT}},
        }
    )
    return made
