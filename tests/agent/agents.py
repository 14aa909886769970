"""The agents that the tests talk to: `python agents.py NAME PORT`.

A handler told to hold connects to the test's gate and waits there, so that a test decides when it goes on, and sees the
connection end when the handler is cancelled.
"""

import asyncio
import dataclasses
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import roost_agent
from roost_agent import App, RequestContext


async def pass_gate(port: int) -> str:
    """Come to the gate and wait for its word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return (await reader.readline()).decode().strip()
    finally:
        writer.close()


def pass_gate_in_thread(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port)) as gate, gate.makefile() as lines:
        return lines.readline().strip()


@dataclasses.dataclass
class Point:
    x: int
    y: int


def plain() -> App:
    """Sync, without context; can fail in every way."""
    app = App(max_body_mb=1)

    @app.entrypoint
    def answer(payload: Any) -> Any:
        match payload:
            case {"fail": "bug"}:
                raise KeyError("the secret internals")
            case {"fail": "refuse"}:
                raise roost_agent.Invalid("cannot work with this")
            case {"fail": "not json"}:
                return object()
            case {"point": True}:
                return Point(1, 2)
            case {"hold": port}:
                return pass_gate_in_thread(port)
        return {"echo": payload}

    return app


def contextual() -> App:
    """Async, with context, demanding to know who asks."""
    app = App()

    @app.entrypoint(requires=("user_id", "session_id"))
    async def answer(payload: Any, context: RequestContext) -> Any:
        assert roost_agent.current() is context
        return {"user": context.user_id, "session": context.session_id, "request": context.request_id}

    return app


def threaded_context() -> App:
    """Sync, reading the context by `current()` in its thread."""
    app = App()

    @app.entrypoint
    def answer(payload: Any) -> Any:
        return {"session": roost_agent.current().session_id}

    return app


def holding() -> App:
    """Async; waits at the gate, in the foreground or the background."""
    app = App()

    @app.background_task
    async def later(port: int) -> None:
        await pass_gate(port)

    @app.background_task
    def later_in_thread(port: int) -> None:
        pass_gate_in_thread(port)

    @app.entrypoint
    async def answer(payload: Any) -> Any:
        match payload:
            case {"background": port}:
                return {"task_id": later(port)}
            case {"background_thread": port}:
                return {"task_id": await asyncio.to_thread(later_in_thread, port)}
            case {"add": name}:
                return {"task_id": app.add_task(name)}
            case {"complete": task_id}:
                return {"known": app.complete_task(task_id)}
            case {"task": port}:
                async with app.task("named"):
                    return await pass_gate(port)
        return {"word": await pass_gate(payload["hold"])}

    return app


def streaming() -> App:
    """Async generator: `hold` waits before each item after the first; `fail_at` breaks there."""
    app = App()

    @app.entrypoint
    async def answer(payload: Any) -> AsyncIterator[Any]:
        for number in range(payload.get("count", 3)):
            if number == payload.get("fail_at"):
                raise roost_agent.Invalid("cannot count further")
            if number == payload.get("bug_at"):
                raise KeyError("the secret internals")
            if number and "hold" in payload:
                await pass_gate(payload["hold"])
            yield {"number": number}

    return app


def sync_streaming() -> App:
    """Generator in threads; comes to the gate when it is closed."""
    app = App()

    @app.entrypoint
    def answer(payload: Any) -> Iterator[Any]:
        try:
            yield from range(payload.get("count", 3))
            if "endless" in payload:
                while True:
                    yield "x" * 1000
        finally:
            if "closed" in payload:
                pass_gate_in_thread(payload["closed"])

    return app


def one_worker() -> App:
    """Sync, one thread only."""
    app = App(sync_workers=1)
    app.entrypoint(lambda payload: pass_gate_in_thread(payload["hold"]))
    return app


def checking() -> App:
    """Its health is what was last invoked."""
    app = App()
    verdict: list[Any] = [None]

    @app.entrypoint
    async def answer(payload: Any) -> None:
        verdict[0] = payload

    @app.health
    def check() -> Any:
        if verdict[0] == "raise":
            raise RuntimeError("database gone")
        return verdict[0]

    return app


def mounted() -> App:
    """Another ASGI application answers the other paths."""
    app = App()

    async def other(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"other " + scope["path"].encode()})

    app.entrypoint(lambda payload: "mine")
    app.mount(other)
    return app


def broken_start() -> App:
    """Its lifespan fails."""

    def lifespan(app: App) -> Any:
        raise RuntimeError("no model")

    return App(lifespan=lifespan)


if __name__ == "__main__":
    globals()[sys.argv[1]]().run(host="127.0.0.1", port=int(sys.argv[2]))
