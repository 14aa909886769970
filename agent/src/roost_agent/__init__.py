"""What an agent running on Roost may import: entrypoint, health, streaming, request context, errors."""

from roost_agent.app import App
from roost_agent.context import RequestContext, current
from roost_agent.errors import (
    AgentError,
    BadRequest,
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    TimedOut,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from roost_agent.health import Status

__version__ = "0.1.0"

__all__ = [
    "AgentError",
    "App",
    "BadRequest",
    "Conflict",
    "FieldError",
    "Forbidden",
    "Invalid",
    "NotFound",
    "RateLimited",
    "RequestContext",
    "Status",
    "TimedOut",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "current",
]
