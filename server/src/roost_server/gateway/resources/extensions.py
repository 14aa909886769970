"""HTTP filters whose configuration is a resource of its own (ECDS), so that it changes at run time.

With the configuration inside the listener a change would drain every connection. This way the next request of any
connection, old or new, meets the new configuration, and requests under way keep the one that they began with.
"""

from typing import Any

from envoy.config.core.v3 import config_source_pb2, extension_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from roost_server.gateway.resources import wire
from roost_server.gateway.resources.clusters import from_ads
from roost_server.gateway.resources.wire import Resource

EXTENSIONS = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
TYPE_URL = "type.googleapis.com/"


def discovered(name: str, configuration: Any) -> Any:
    """A filter of the chain, off unless a virtual host turns it on; Envoy asks for its configuration by this name."""
    source = config_source_pb2.ExtensionConfigSource(
        config_source=from_ads(), type_urls=[TYPE_URL + configuration.DESCRIPTOR.full_name]
    )
    return hcm.HttpFilter(name=name, config_discovery=source, disabled=True)


def inline(name: str, configuration: Any) -> Any:
    """A filter of the chain, off unless a virtual host turns it on, whose configuration never changes."""
    made = hcm.HttpFilter(name=name, disabled=True)
    made.typed_config.Pack(configuration, deterministic=True)
    return made


def resource(name: str, configuration: Any) -> Resource:
    """What Envoy gets when it asks for the configuration of the filter `name`."""
    made = extension_pb2.TypedExtensionConfig(name=name)
    made.typed_config.Pack(configuration, deterministic=True)
    return Resource.of(EXTENSIONS, name, wire.serialized(made))
