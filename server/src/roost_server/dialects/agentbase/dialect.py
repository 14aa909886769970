"""AgentBase's runtime service: its paths, bodies and errors over Roost's own operations. This file joins the parts.

Wire facts: GreenNode AgentBase's runtime reference and the published `greennode-agentbase` 1.0.3, whose
`specs/runtime/api.json` names paths, verbs, parameters and models.
"""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from roost_server.dialects.agentbase import (
    endpoints,
    errors,
    flavors,
    observing,
    runtimes,
    tokens,
)
from roost_server.domain.errors import RoostError

PREFIXES = ("/agent-runtimes", "/flavors", "/v1/flavors", "/accounts-api")


@dataclass(frozen=True)
class AgentBase:
    """What the application mounts."""

    router: APIRouter

    def owns(self, path: str) -> bool:
        """Whether an error on this path is told in AgentBase's way."""
        return path.startswith(PREFIXES)

    def answer(self, error: RoostError, request_id: str) -> tuple[int, dict[str, Any]]:
        return errors.answer(error, request_id)


def _join() -> APIRouter:
    router = APIRouter(tags=["agentbase"])
    for room in (runtimes, endpoints, observing, flavors, tokens):
        router.include_router(room.router)
    return router


DIALECT = AgentBase(_join())
