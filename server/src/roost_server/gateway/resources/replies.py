"""What Envoy answers by itself: every failure is the project's JSON envelope with an `X-Request-Id`.

A table of (response flags or statuses, answer). Flags: envoyproxy.io, "Access logging", RESPONSE_FLAGS.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, extension_pb2, substitution_format_string_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2

from roost_server.domain import errors
from roost_server.domain.route import Refusal

JSON = "application/json"
NO_ROUTE = ("NR",)
NOT_REACHED = ("UF", "UH", "UO", "NC", "DF")
OVERLOADED = ("OM",)
DISCONNECTED = ("UC", "UR", "LR", "UPE")
TIMED_OUT = ("UT", "SI", "DT", "UMSDR")


@dataclass(frozen=True)
class Reply:
    """One answer. `detail` and the values of `headers` may hold Envoy's substitution commands."""

    error: type[errors.RoostError]
    detail: str
    reason: Refusal | None = None
    retry_after_seconds: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


BY_FLAGS: tuple[tuple[tuple[str, ...], Reply], ...] = (
    (NO_ROUTE, Reply(errors.NotFound, 'cannot route host "%REQ(:AUTHORITY)%": no runtime answers to it')),
    (OVERLOADED, Reply(errors.Unavailable, "cannot take more connections: the gateway is full", Refusal.OVERLOADED, 1)),
    (
        NOT_REACHED,
        Reply(
            errors.Unavailable, "cannot connect to a replica of this runtime: try again soon", Refusal.UNREACHABLE, 1
        ),
    ),
    (
        DISCONNECTED,
        Reply(errors.BadGateway, "cannot pass the answer on: the replica closed the connection", Refusal.DISCONNECTED),
    ),
    (TIMED_OUT, Reply(errors.TimedOut, "cannot wait longer: the request was idle for too long", Refusal.IDLE_TIMEOUT)),
)

BY_STATUS: tuple[tuple[int, Reply], ...] = (
    (403, Reply(errors.BadRequest, "cannot switch protocols: of upgrades only WebSocket passes")),
    (413, Reply(errors.TooLarge, "cannot take this request: it is too large")),
    (400, Reply(errors.BadRequest, "cannot read this request: it is not valid HTTP (%RESPONSE_CODE_DETAILS%)")),
)

OTHERWISE = {
    "code": "%RESPONSE_CODE%",
    "detail": "cannot serve this request (%RESPONSE_CODE_DETAILS%)",
    "type": errors.BadRequest.type,
}


def local_replies(by_details: Sequence[tuple[str, Reply]]) -> Any:
    """The mappers, in the order in which they are tried: first those with a condition on the details of the answer;
    the body of a route that refuses is passed as it is."""
    return http_connection_manager_pb2.LocalReplyConfig(
        mappers=[
            *(_mapper(_fulfils(condition), reply) for condition, reply in by_details),
            *(_mapper(_has_flag(flags), reply) for flags, reply in BY_FLAGS),
            *(_mapper(_has_status(status), reply) for status, reply in BY_STATUS),
            _refusal_as_it_is(),
        ],
        body_format=_json(OTHERWISE),
    )


def _mapper(when: Any, reply: Reply) -> Any:
    more = {} if reply.retry_after_seconds is None else {"retry-after": str(reply.retry_after_seconds)}
    return http_connection_manager_pb2.ResponseMapper(
        filter=when,
        status_code={"value": reply.error.code},
        body_format_override=_json(_envelope(reply)),
        headers_to_add=_headers({**more, **dict(reply.headers)}),
    )


def _envelope(reply: Reply) -> dict[str, Any]:
    body = {"code": reply.error.code, "detail": reply.detail, "type": reply.error.type}
    return body if reply.reason is None else {**body, "reason": reply.reason.value}


def _refusal_as_it_is() -> Any:
    return http_connection_manager_pb2.ResponseMapper(
        filter=_has_status(errors.Unavailable.code),
        body_format_override=substitution_format_string_pb2.SubstitutionFormatString(
            text_format_source=base_pb2.DataSource(inline_string="%LOCAL_REPLY_BODY%"), content_type=JSON
        ),
        headers_to_add=_headers({}),
    )


def _json(body: dict[str, Any]) -> Any:
    made = substitution_format_string_pb2.SubstitutionFormatString(content_type=JSON)
    made.json_format.update(body)
    return made


def _headers(more: dict[str, str]) -> Iterable[Any]:
    return [_header(key, value) for key, value in {"x-request-id": "%REQ(X-REQUEST-ID)%", **more}.items()]


def _header(key: str, value: str) -> Any:
    return base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=key, value=value),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )


def _fulfils(condition: str) -> Any:
    """`condition` in CEL, over Envoy's attributes."""
    extension = extension_pb2.TypedExtensionConfig(name="envoy.access_loggers.extension_filters.cel")
    extension.typed_config.Pack(cel_pb2.ExpressionFilter(expression=condition))
    made = accesslog_pb2.ExtensionFilter(name=extension.name, typed_config=extension.typed_config)
    return accesslog_pb2.AccessLogFilter(extension_filter=made)


def _has_flag(flags: tuple[str, ...]) -> Any:
    return accesslog_pb2.AccessLogFilter(response_flag_filter=accesslog_pb2.ResponseFlagFilter(flags=flags))


def _has_status(status: int) -> Any:
    return accesslog_pb2.AccessLogFilter(
        status_code_filter=accesslog_pb2.StatusCodeFilter(
            comparison=accesslog_pb2.ComparisonFilter(
                op=accesslog_pb2.ComparisonFilter.EQ, value={"default_value": status, "runtime_key": "roost.unset"}
            )
        )
    )
