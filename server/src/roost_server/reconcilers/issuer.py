"""Asking an issuer for the keys with which it signs: a JWK set, or OpenID Connect metadata that says where that is.

What was answered is never repeated in an error: the URL may lead to something that its user cannot see otherwise.
"""

import asyncio
import ipaddress
import json
import re
import ssl
from functools import cache
from typing import Any, NoReturn

import httpx

from roost_server.domain import errors, jwks

DISCOVERY = "/.well-known/openid-configuration"
REFRESH_SECONDS, REFRESH_MIN_SECONDS, REFRESH_MAX_SECONDS = 300.0, 60.0, 3600.0
"""How long keys are good, unless the issuer says otherwise, within these bounds."""

TIMEOUT_SECONDS = 5.0
MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
SCHEMES = ("http://", "https://")


async def fetch(url: str) -> tuple[dict[str, Any], float]:
    """The key set and in how many seconds to ask again. Raises `Unavailable` naming the URL that did not work."""
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=True, verify=_trusted()) as client:
        if url.endswith(DISCOVERY):
            metadata, _ = await _get(client, url)
            url = _where(url, metadata)
        keys, headers = await _get(client, url)
    try:
        jwks.check(keys)
    except ValueError as error:
        _cannot(url, f"what it answered is {error}")
    return keys, refresh_seconds(headers.get("cache-control", ""))


def refresh_seconds(cache_control: str) -> float:
    """For how long an answer with this header is good."""
    found = MAX_AGE.search(cache_control)
    said = float(found.group(1)) if found else REFRESH_SECONDS
    return min(REFRESH_MAX_SECONDS, max(REFRESH_MIN_SECONDS, said))


@cache
def _trusted() -> ssl.SSLContext:
    """Certificate authorities as the host has them."""
    return ssl.create_default_context()


def _where(url: str, metadata: dict[str, Any]) -> str:
    found = metadata.get("jwks_uri")
    if not isinstance(found, str) or not found.startswith(SCHEMES):
        _cannot(url, "its metadata names no jwks_uri that begins with http:// or https://")
    return found


async def _get(client: httpx.AsyncClient, url: str) -> tuple[dict[str, Any], httpx.Headers]:
    """A JSON object and the answer's headers."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await _refuse_link_local(url)
            async with client.stream("GET", url, headers=_wanted()) as answer:
                if answer.status_code != 200:
                    _cannot(url, f"it answered {answer.status_code}")
                return _object(url, await _body(url, answer)), answer.headers
    except (TimeoutError, httpx.TimeoutException):
        _cannot(url, f"it did not answer within {TIMEOUT_SECONDS:g} seconds")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _cannot(url, re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__)


async def _refuse_link_local(url: str) -> None:
    """Clouds serve the host's credentials there, which is nobody's issuer. A name that only a proxy knows passes."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(httpx.URL(url).host, None)
    except UnicodeError:
        _cannot(url, "its host is no name that there can be")
    except OSError:
        return
    addresses = (ipaddress.ip_address(place[0]) for *_, place in found)
    if any((getattr(one, "ipv4_mapped", None) or one).is_link_local for one in addresses):
        _cannot(url, "it is at a link-local address, where no issuer is")


def _wanted() -> dict[str, str]:
    return {"accept": "application/json", "accept-encoding": "identity"}


async def _body(url: str, answer: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > jwks.BYTES_MAX:
            _cannot(url, f"it answered more than {jwks.BYTES_MAX // 1024} KiB")
    return bytes(body)


def _object(url: str, body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body, parse_constant=_no_json)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        _cannot(url, "it did not answer with a JSON object")
    return found


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _cannot(url: str, why: str) -> NoReturn:
    raise errors.Unavailable(f"cannot fetch keys from {url}: {why}")
