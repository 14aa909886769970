"""The application: routes, errors and middleware joined."""

from fastapi import APIRouter, Depends, FastAPI

from roost_server.api import (
    endpoint_tokens,
    endpoints,
    errors,
    execs,
    health,
    images,
    logs,
    oauth,
    replicas,
    runtimes,
    service_accounts,
    texts,
    versions,
)
from roost_server.api.context import Api
from roost_server.api.middleware import Envelope
from roost_server.api.replica_door import ReplicaDoor

BASE = "/api/v1/org/{org}/ws/{ws}"


def build(api: Api, *dialects: APIRouter) -> FastAPI:
    """The ASGI application over these parts, which speaks these dialects too."""
    app = FastAPI(title="Roost", version="1", docs_url="/docs", redoc_url=None, redirect_slashes=False)
    app.state.api = api
    workspace = APIRouter(prefix=BASE, dependencies=[Depends(texts.refuse_unusable)])
    rooms = (runtimes, versions, endpoints, endpoint_tokens, service_accounts, replicas, execs, logs, images)
    for room in rooms:
        workspace.include_router(room.router)
    app.include_router(workspace)
    for router in (health.router, oauth.router, *dialects):
        app.include_router(router)
    errors.install(app)
    app.add_middleware(ReplicaDoor, address=api.replicas_address)
    app.add_middleware(Envelope, max_body_bytes=api.max_body_bytes)
    return app
