"""The application: routes, errors and middleware joined."""

from collections.abc import Sequence

from fastapi import APIRouter, Depends, FastAPI

from roost_server.api import (
    canaries,
    endpoint_tokens,
    endpoints,
    errors,
    execs,
    flavors,
    health,
    images,
    logs,
    metrics,
    oauth,
    replicas,
    runtimes,
    service_accounts,
    texts,
    versions,
)
from roost_server.api.context import Api
from roost_server.api.errors import Dialect
from roost_server.api.middleware import Envelope
from roost_server.api.replica_door import ReplicaDoor

BASE = "/api/v1/org/{org}/ws/{ws}"


def build(api: Api, dialects: Sequence[Dialect] = ()) -> FastAPI:
    """The ASGI application over these parts. Handlers of the dialects find the parts in `app.state.api` too."""
    app = FastAPI(title="Roost", version="1", docs_url="/docs", redoc_url=None, redirect_slashes=False)
    app.state.api = api
    usable = [Depends(texts.refuse_unusable)]
    workspace = APIRouter(prefix=BASE, dependencies=usable)
    of_runtimes = (runtimes, versions, endpoints, endpoint_tokens, canaries, service_accounts, replicas)
    for room in (*of_runtimes, execs, logs, metrics, images, flavors):
        workspace.include_router(room.router)
    app.include_router(workspace)
    for router in (health.router, oauth.router):
        app.include_router(router)
    for dialect in dialects:
        app.include_router(dialect.router, dependencies=usable)
    envelopes = errors.Envelopes(dialects)
    errors.install(app, envelopes)
    app.add_middleware(ReplicaDoor, address=api.replicas_address)
    app.add_middleware(Envelope, max_body_bytes=api.max_body_bytes, envelopes=envelopes)
    return app
