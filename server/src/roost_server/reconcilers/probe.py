"""The readiness probe: does `GET path` on the replica answer 200?"""

import httpx

from roost_server.domain.config import Health
from roost_server.domain.replica import Box
from roost_server.engines.engine import Engine, Probes

TIMEOUT_SECONDS = 2.0


class Prober:
    """Asks replicas over HTTP, or in the engine's own way when it has one. `close` it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=0)
        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, limits=limits, trust_env=False, verify=False)

    async def ask(self, box: Box, health: Health) -> str | None:
        """None when it answered 200; else what it answered, for people."""
        if isinstance(self._engine, Probes):
            return await self._engine.probe(box.id, health)
        asked = f"GET {health.path} on port {health.port}"
        try:
            async with self._client.stream("GET", f"http://{box.address}:{health.port}{health.path}") as response:
                return None if response.status_code == 200 else f"{asked} answered {response.status_code}"
        except httpx.ConnectError:
            return f"nothing listens on port {health.port}"
        except httpx.TimeoutException:
            return f"{asked} did not answer within {TIMEOUT_SECONDS:g} s"
        except httpx.HTTPError as error:
            return f"{asked} failed: {error or type(error).__name__}"

    async def close(self) -> None:
        await self._client.aclose()
