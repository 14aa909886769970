"""The application: routes, errors and middleware joined."""

from collections.abc import Sequence

from fastapi import APIRouter, Depends, FastAPI

from roost_server.api import (
    endpoints,
    errors,
    execs,
    health,
    images,
    logs,
    metrics,
    replicas,
    runtimes,
    texts,
    versions,
)
from roost_server.api.context import Api
from roost_server.api.errors import Dialect
from roost_server.api.middleware import Envelope

BASE = "/api/v1/org/{org}/ws/{ws}"


def build(api: Api, dialects: Sequence[Dialect] = ()) -> FastAPI:
    """The ASGI application over these parts. Handlers of the dialects find the parts in `app.state.api` too."""
    app = FastAPI(title="Roost", version="1", docs_url="/docs", redoc_url=None, redirect_slashes=False)
    app.state.api = api
    usable = [Depends(texts.refuse_unusable)]
    workspace = APIRouter(prefix=BASE, dependencies=usable)
    for room in (runtimes, versions, endpoints, replicas, execs, logs, metrics, images):
        workspace.include_router(room.router)
    app.include_router(workspace)
    app.include_router(health.router)
    for dialect in dialects:
        app.include_router(dialect.router, dependencies=usable)
    envelopes = errors.Envelopes(dialects)
    errors.install(app, envelopes)
    app.add_middleware(Envelope, max_body_bytes=api.max_body_bytes, envelopes=envelopes)
    return app
