"""Words that the stories share."""

import asyncio
from collections.abc import Callable
from typing import Any

from roost_server.domain.route import OPEN, Backend, Guard, Pool, Route, Snapshot, Unavailable

from gateway.upstreams import Agent

HOST = "agent.localhost"
PATIENCE_SECONDS = 60
STOPPED = Unavailable("stopped", 'cannot reach runtime "agent": it is stopped; start it with `roost boot agent`', 7)


def backend(agent: Agent, replica: str = "replica-1", *, draining: bool = False) -> Backend:
    return Backend(replica, agent.address, agent.port, draining)


def pool(*backends: Backend, version: int = 1, weight: int = 100, keeps: bool = False) -> Pool:
    return Pool(version, weight, backends, keeps)


def lone(name: str, hosts: tuple[str, ...], backends: tuple[Backend, ...], why: Unavailable | None = None) -> Route:
    """A route to one version."""
    return Route(name, hosts, (pool(*backends),), unavailable=why)


def route(
    *backends: Backend,
    host: str = HOST,
    name: str = "r1",
    guard: Guard = OPEN,
    unavailable: Unavailable | None = None,
) -> Route:
    return Route(name, (host,), (pool(*backends),), guard, unavailable)


def leading_to(*agents: Agent) -> Snapshot:
    """One host, one replica an agent."""
    return Snapshot((route(*(backend(agent, f"replica-{n}") for n, agent in enumerate(agents, 1))),))


async def eventually(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
    """Return when `condition()` is true; fail after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)
