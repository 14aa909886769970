"""A real receiver of OTLP over gRPC, which keeps the spans that it was sent.

The messages are those that come along with Envoy's, from before scopes had their name; they are the same on the wire.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service

EXPORT = "opentelemetry.proto.collector.trace.v1.TraceService"


@dataclass
class Receiver:
    endpoint: str = ""
    spans: list[Any] = field(default_factory=list)

    async def export(self, request: Any, _context: Any) -> Any:
        for each in request.resource_spans:
            self.spans += [span for scope in each.instrumentation_library_spans for span in scope.spans]
        return service.ExportTraceServiceResponse()


def tags(span: Any) -> dict[str, str]:
    """The texts among a span's attributes."""
    return {one.key: one.value.string_value for one in span.attributes}


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Listens on a port of its own."""
    kept = Receiver()
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(
        kept.export,
        request_deserializer=service.ExportTraceServiceRequest.FromString,
        response_serializer=service.ExportTraceServiceResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(EXPORT, {"Export": method}),))
    kept.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield kept
    finally:
        await server.stop(None)
