"""A first agent: greets, counts per session, and streams when asked to.

The count lives in memory, so it starts again with the replica. An agent that must remember keeps its state elsewhere.
"""

import os
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

from roost_agent import App, Invalid, RequestContext

app = App()
greetings: Counter[str] = Counter()


@app.entrypoint
def greet(payload: Any, context: RequestContext) -> dict[str, Any] | Iterator[dict[str, str]]:
    """`{"name": "Ada"}` answers a greeting; with `"stream": true` it comes word by word."""
    name = name_in(payload)
    if payload.get("stream"):
        return ({"word": word} for word in f"Hello, {name}!".split())
    return {"message": f"Hello, {name}!", **session(context), **who_answers()}


def name_in(payload: Any) -> str:
    if not isinstance(payload, dict):
        raise Invalid('cannot greet: the body must be an object such as {"name": "Ada"}')
    name = payload.get("name", "world")
    if not isinstance(name, str):
        raise Invalid('cannot greet: "name" must be a string')
    return name


def session(context: RequestContext) -> dict[str, Any]:
    """How often this session was greeted, if the caller named one."""
    if context.session_id is None:
        return {}
    greetings[context.session_id] += 1
    return {"session": context.session_id, "greetings": greetings[context.session_id]}


def who_answers() -> dict[str, str]:
    """Which version and replica this is, as far as the platform told."""
    return {
        "version": os.environ.get("ROOST_VERSION", "unknown"),
        "replica": os.environ.get("ROOST_REPLICA_ID", socket.gethostname()),
    }


if __name__ == "__main__":
    app.run()
