"""The application: routes, errors and middleware joined."""

from fastapi import APIRouter, Depends, FastAPI

from roost_server.api import (
    canaries,
    endpoints,
    errors,
    execs,
    flavors,
    health,
    images,
    logs,
    replicas,
    runtimes,
    texts,
    versions,
)
from roost_server.api.context import Api
from roost_server.api.middleware import Envelope

BASE = "/api/v1/org/{org}/ws/{ws}"


def build(api: Api) -> FastAPI:
    """The ASGI application over these parts."""
    app = FastAPI(title="Roost", version="1", docs_url="/docs", redoc_url=None, redirect_slashes=False)
    app.state.api = api
    workspace = APIRouter(prefix=BASE, dependencies=[Depends(texts.refuse_unusable)])
    for room in (runtimes, versions, endpoints, canaries, replicas, execs, logs, images, flavors):
        workspace.include_router(room.router)
    app.include_router(workspace)
    app.include_router(health.router)
    errors.install(app)
    app.add_middleware(Envelope, max_body_bytes=api.max_body_bytes)
    return app
