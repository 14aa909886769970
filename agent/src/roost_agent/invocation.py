"""`POST /invocations`: a JSON body in, a JSON value or a stream of events out."""

import json
import logging
import time
from dataclasses import dataclass

from roost_agent import asgi, context, entrypoint, errors, stream
from roost_agent.context import RequestContext
from roost_agent.entrypoint import Entrypoint
from roost_agent.errors import AgentError
from roost_agent.health import Board
from roost_agent.threads import Threads

log = logging.getLogger("roost_agent")


@dataclass
class Invocations:
    """Answers invocations with `declared`, once there is one."""

    board: Board
    threads: Threads
    max_body_bytes: int
    debug: bool
    declared: Entrypoint | None = None

    async def answer(self, request: RequestContext, receive: asgi.Receive, send: asgi.Send) -> None:
        """Answer one invocation. Raises when nothing was sent yet; `Disconnected` when nobody waits any more."""
        if self.declared is None:
            raise errors.NotFound("cannot answer /invocations: this agent declares no entrypoint")
        context.demand(request.headers, self.declared.requires)
        with self.board.busy("invocation"), context.use(request):
            payload = parse(await asgi.read_body(receive, self.max_body_bytes))
            await asgi.unless_disconnected(receive, self._run(self.declared, payload, request, send))

    async def _run(self, declared: Entrypoint, payload: object, request: RequestContext, send: asgi.Send) -> None:
        began = time.monotonic()
        headers = {"x-request-id": request.request_id}
        answer = await declared.call(payload, request, self.threads)
        items = entrypoint.items(answer, self.threads)
        if items is None:
            await asgi.send_json(send, 200, answer, headers)
        else:
            await stream.send(send, items, headers, lambda error: explain(error, request, self.debug))
        log.info("invocation answered duration_ms=%d request_id=%s", _milliseconds(began), request.request_id)


def parse(body: bytes) -> object:
    """The payload. The content type is not looked at: the body is JSON whatever a client calls it."""
    if not body.strip():
        raise errors.BadRequest("cannot read the body as JSON: it is empty; send at least {}")
    try:
        return json.loads(body)
    except ValueError as error:
        message = f"cannot read the body as JSON: {error}"
        field = errors.FieldError(("body",), str(error), "json_invalid")
        raise errors.BadRequest(message, errors=[field]) from None


def explain(error: Exception, request: RequestContext, debug: bool) -> AgentError:
    """What the caller is told. Anything but an `AgentError` is a bug: logged, and shown only when `debug`."""
    if isinstance(error, AgentError):
        log.info("invocation refused code=%d detail=%s request_id=%s", error.code, error, request.request_id)
        return error
    log.error("invocation failed request_id=%s", request.request_id, exc_info=error)
    if debug:
        return AgentError(f"cannot answer: {type(error).__name__}: {error}")
    return AgentError(f"cannot answer: the agent failed; its log says why, under request id {request.request_id}")


def _milliseconds(since: float) -> int:
    return round((time.monotonic() - since) * 1000)
