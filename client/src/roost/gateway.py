"""Requests to a runtime's URL: where to connect, and what failing to means.

Not every resolver knows that `*.localhost` is this machine, so such a URL is asked of the server's own host with the
URL's name in the Host header: the gateway stands beside the API.
"""

from collections.abc import Mapping
from typing import Any, TypedDict
from urllib.parse import urlsplit

import httpx

from roost import errors, http
from roost.models import RuntimeState


class RequestOptions(TypedDict, total=False):
    """As in httpx. `content` is the body as text or bytes, `json` one to encode."""

    json: Any
    content: str | bytes | None
    params: Mapping[str, Any] | None
    headers: Mapping[str, str] | None


def request(
    client: httpx.Client | httpx.AsyncClient,
    url: str,
    api_url: str,
    method: str,
    path: str,
    options: RequestOptions,
    timeout: float,
) -> httpx.Request:
    """The request for `path` (with its query) at a runtime's `url`."""
    parts = urlsplit(url)
    netloc, headers, extensions = parts.netloc, dict(options.get("headers") or {}), {}
    if (parts.hostname or "").endswith(".localhost"):
        netloc = _beside(api_url, parts.port)
        headers = {"Host": parts.netloc} | headers
        extensions = {"sni_hostname": parts.hostname} if parts.scheme == "https" else {}
    return client.build_request(
        method.upper(),
        f"{parts.scheme}://{netloc}/{path.lstrip('/')}",
        json=options.get("json"),
        content=options.get("content"),
        params=options.get("params"),
        headers=headers,
        timeout=httpx.Timeout(timeout, connect=10.0),
        extensions=extensions,
    )


def _beside(api_url: str, port: int | None) -> str:
    host = urlsplit(api_url).hostname or "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host


def url_of(runtime: RuntimeState, exposed_port: int | None) -> str:
    """The runtime's URL, or the one of a further port that it exposes."""
    return runtime.url if exposed_port is None else runtime.url.replace("://", f"://{exposed_port}-", 1)


def failed(error: httpx.HTTPError | httpx.InvalidURL, name: str, url: str) -> errors.UnreachableError:
    """What a failure of the connection to this URL of a runtime means."""
    cause = "it took too long" if isinstance(error, httpx.TimeoutException) else http.cause(error)
    hint = "the gateway does not answer; is the server running?" if isinstance(error, http.NEVER_REACHED) else None
    return errors.UnreachableError(f'cannot call runtime "{name}" at {url}: {cause}', hint=hint)
