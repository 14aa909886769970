"""Roost's Python SDK: deploy AI agents' images as runtimes, call them, and run commands inside them.

    from roost import Roost

    with Roost() as client:
        runtime = client.runtimes.create("hello", "registry.example.com/team/hello:v1")
        print(runtime.call("POST", "/invocations", json={"prompt": "hi"}).json())

`AsyncRoost` is the same with `await`. The clients are imported when they are first used, so that the `roost`
command starts quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from roost.config import Access, CanaryOptions, RunOptions, RuntimeConfig
from roost.errors import (
    AlreadyExistsError,
    ApiError,
    AuthenticationError,
    BadGatewayError,
    BadRequestError,
    CanaryFailed,
    ConflictError,
    FieldError,
    ForbiddenError,
    ImageFailed,
    InternalError,
    MethodNotAllowedError,
    NotFoundError,
    PayloadTooLargeError,
    PushFailed,
    RateLimitError,
    RoostError,
    RuntimeFailed,
    SettingsError,
    TimedOutError,
    UnavailableError,
    UnreachableError,
    ValidationError,
    WaitTimeout,
)
from roost.models import (
    CanaryFigures,
    Change,
    Difference,
    Endpoint,
    EndpointMetrics,
    EndpointToken,
    Event,
    ExecResult,
    Flavor,
    Image,
    Kept,
    LogLine,
    LogPage,
    Metrics,
    NewEndpointToken,
    Progress,
    Push,
    Replica,
    ReplicaMetrics,
    RuntimeFigures,
    ServiceAccount,
    Share,
    TrafficPoint,
    UsagePoint,
    Version,
)

if TYPE_CHECKING:
    from roost.aio.canaries import AsyncCanary
    from roost.aio.client import AsyncRoost
    from roost.aio.runtime import AsyncRuntime
    from roost.canaries import Canary
    from roost.client import Roost
    from roost.runtime import Runtime

__version__ = "0.1.0"

__all__ = [
    "Access",
    "AlreadyExistsError",
    "ApiError",
    "AsyncCanary",
    "AsyncRoost",
    "AsyncRuntime",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "Canary",
    "CanaryFailed",
    "CanaryFigures",
    "CanaryOptions",
    "Change",
    "ConflictError",
    "Difference",
    "Endpoint",
    "EndpointMetrics",
    "EndpointToken",
    "Event",
    "ExecResult",
    "FieldError",
    "Flavor",
    "ForbiddenError",
    "Image",
    "ImageFailed",
    "InternalError",
    "Kept",
    "LogLine",
    "LogPage",
    "MethodNotAllowedError",
    "Metrics",
    "NewEndpointToken",
    "NotFoundError",
    "PayloadTooLargeError",
    "Progress",
    "Push",
    "PushFailed",
    "RateLimitError",
    "Replica",
    "ReplicaMetrics",
    "Roost",
    "RoostError",
    "RunOptions",
    "Runtime",
    "RuntimeConfig",
    "RuntimeFailed",
    "RuntimeFigures",
    "ServiceAccount",
    "SettingsError",
    "Share",
    "TimedOutError",
    "TrafficPoint",
    "UnavailableError",
    "UnreachableError",
    "UsagePoint",
    "ValidationError",
    "Version",
    "WaitTimeout",
]

_LATE = {
    "Roost": "roost.client",
    "Runtime": "roost.runtime",
    "AsyncRoost": "roost.aio.client",
    "AsyncRuntime": "roost.aio.runtime",
    "Canary": "roost.canaries",
    "AsyncCanary": "roost.aio.canaries",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'roost' has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)
