"""Outside the API's base path: is it alive, is it ready, what does it count."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

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
    """The store answers too."""
    async with api_of(request).context.store.read() as tx:
        await runtimes.count_by_status(tx)
    return Health(status="ok")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}, **documented()})
async def metrics(request: Request) -> Response:
    """Counters and histograms in Prometheus' text format."""
    async with api_of(request).context.store.read() as tx:
        counts = await runtimes.count_by_status(tx)
    lines = ["# HELP roost_runtimes Runtimes by status.", "# TYPE roost_runtimes gauge"]
    lines += [f'roost_runtimes{{status="{status}"}} {count}' for status, count in sorted(counts.items())]
    own = "\n".join(lines).encode() + b"\n"
    return Response(generate_latest() + own, media_type=CONTENT_TYPE_LATEST)
