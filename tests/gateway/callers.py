"""Callers for tests: gRPC, and traffic that goes on while things change."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import httpx
from roost_server.gateway.settings import GatewaySettings

from gateway.stories import HOST, PATIENCE_SECONDS, eventually


def grpc_channel(settings: GatewaySettings) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(
        f"127.0.0.1:{settings.http_port}", options=[("grpc.default_authority", HOST), ("grpc.enable_http_proxy", 0)]
    )


@asynccontextmanager
async def steady_traffic(settings: GatewaySettings) -> AsyncIterator[Counter[object]]:
    """Requests over kept and over new connections, one after the other; counts their statuses or errors."""
    answers: Counter[object] = Counter()
    stop = asyncio.Event()
    callers = [asyncio.create_task(_call(settings, answers, stop, keep=keep)) for keep in (True, False)]
    try:
        yield answers
    finally:
        stop.set()
        await asyncio.gather(*callers)


async def _call(settings: GatewaySettings, answers: Counter[object], stop: asyncio.Event, *, keep: bool) -> None:
    headers = {"host": HOST} if keep else {"host": HOST, "connection": "close"}
    url = f"http://127.0.0.1:{settings.http_port}"
    async with httpx.AsyncClient(headers=headers, base_url=url, timeout=PATIENCE_SECONDS) as caller:
        while not stop.is_set():
            try:
                answers[(await caller.post("/", content=b"x")).status_code] += 1
            except httpx.HTTPError as error:
                answers[repr(error)] += 1


async def progress(answers: Counter[object]) -> None:
    """Return when twenty more requests were answered."""
    enough = answers.total() + 20
    await eventually(lambda: answers.total() >= enough)
