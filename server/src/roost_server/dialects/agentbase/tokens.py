"""AgentBase's token endpoint: OAuth 2.0's form as HTTP Basic, and a JSON spelling of its own."""

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from roost_server.domain import oauth
from roost_server.domain.oauth import Client, Issued
from roost_server.operations import access_tokens
from roost_server.operations.context import Context

router = APIRouter(tags=["agentbase"])

NOT_KEPT = {"Cache-Control": "no-store"}


@router.post("/accounts-api/v2/auth/token", include_in_schema=False)
async def create_token(request: Request) -> JSONResponse:
    """An access token for client credentials; the answer is spelt as the request was."""
    context: Context = request.app.state.api.context
    kind, body = request.headers.get("content-type", ""), await request.body()
    try:
        if _is_json(kind):
            return _camel(await access_tokens.issue(context, read_json(body)))
        client = oauth.read_form(kind, request.headers.get("authorization"), body)
        return _snake(await access_tokens.issue(context, client))
    except oauth.Refused as refused:
        told = {"WWW-Authenticate": 'Basic realm="roost"'} if refused.status == 401 else {}
        error = {"error": refused.error, "error_description": str(refused)}
        return JSONResponse(error, refused.status, {**NOT_KEPT, **told})


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def read_json(body: bytes) -> Client:
    """`{"grantType", "clientId", "clientSecret"}`. Raises `oauth.Refused`."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise oauth.Refused("invalid_request", "cannot read the body: it must be a JSON object")
    oauth.check_grant(_text(document, "grantType"))
    return oauth.client(_text(document, "clientId"), _text(document, "clientSecret"))


def _text(document: dict[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise oauth.Refused("invalid_request", f"cannot read {name}: it must be a text")
    return value or None


def _snake(issued: Issued) -> JSONResponse:
    return JSONResponse({"token_type": "Bearer", **issued.__dict__}, headers=NOT_KEPT)


def _camel(issued: Issued) -> JSONResponse:
    told = {"accessToken": issued.access_token, "tokenType": "Bearer", "expiresIn": issued.expires_in}
    return JSONResponse({"data": {**told, "scope": issued.scope}}, headers=NOT_KEPT)
