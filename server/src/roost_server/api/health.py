"""Outside the API's base path: is it alive, is it ready, what does it count."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from roost_server.api import prometheus
from roost_server.api.context import api_of
from roost_server.api.errors import documented
from roost_server.store import runtimes

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: str


@router.get("/healthz", responses=documented())
async def healthz() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/readyz", responses=documented())
async def readyz(request: Request) -> Health:
    """The store answers, and callers get through the gateway to their agents."""
    api = api_of(request)
    async with api.context.store.read() as tx:
        await runtimes.count_by_status(tx)
    await api.gateway.ready()
    return Health(status="ok")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}, **documented()})
async def metrics(request: Request) -> Response:
    """Counters, gauges and histograms in Prometheus' text format."""
    return Response(await prometheus.text(api_of(request).context.store), media_type=CONTENT_TYPE_LATEST)
