"""OAuth 2.0's client credentials grant (RFC 6749, 2.3.1, 4.4 and 5): reading requests, wording refusals. Pure."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_plus

GRANT = "client_credentials"
FORM = "application/x-www-form-urlencoded"
_VISIBLE = re.compile(r"[\x20-\x7e]{1,512}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")


class Refused(Exception):
    """A token request that is not granted. `error` is one of RFC 6749's words, `str()` says the rest to people."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error

    @property
    def status(self) -> int:
        """401 where the client did not prove who it is, else 400."""
        return 401 if self.error == "invalid_client" else 400


@dataclass(frozen=True)
class Client:
    """Who a client says it is. `spellings` are pairs of id and secret that its words can mean, the likeliest first:
    the RFC wants them form-encoded within the Basic header, which most clients leave out."""

    spellings: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Issued:
    """An access token, as the token endpoint answers it."""

    access_token: str
    expires_in: int
    scope: str


def read_form(content_type: str, authorization: str | None, body: bytes) -> Client:
    """A request in the RFC's own shape. Raises `Refused`."""
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise Refused("invalid_request", f"cannot read the request: send it as {FORM}")
    fields = _fields(body)
    check_grant(fields.get("grant_type"))
    _check_scope(fields.get("scope"))
    basic = _basic(authorization)
    if basic is None:
        return client(fields.get("client_id"), fields.get("client_secret"))
    if "client_secret" in fields:
        raise Refused("invalid_request", "cannot take two credentials: send either Basic or client_secret")
    if fields.get("client_id", basic[0][0]) not in [client_id for client_id, _ in basic]:
        raise Refused("invalid_request", "cannot take two clients: client_id is not the one of the Basic header")
    return Client(basic)


def check_grant(given: str | None) -> None:
    """Raises `Refused` unless it is the one grant there is."""
    if given is None:
        raise Refused("invalid_request", f"cannot grant a token: grant_type is missing; send {GRANT}")
    if given != GRANT:
        raise Refused("unsupported_grant_type", f"cannot grant a token in this way: grant_type must be {GRANT}")


def client(client_id: str | None, secret: str | None) -> Client:
    """Credentials that came in the body. Raises `Refused` when they cannot be anybody's."""
    if not client_id or not secret:
        raise Refused("invalid_client", "cannot tell who asks: send client_id and client_secret, or HTTP Basic")
    return Client((_checked(client_id, secret),))


def _checked(client_id: str, secret: str) -> tuple[str, str]:
    if not _VISIBLE.fullmatch(client_id) or not _VISIBLE.fullmatch(secret):
        raise Refused("invalid_client", "cannot take these credentials: up to 512 visible ASCII characters each")
    return client_id, secret


def _fields(body: bytes) -> Mapping[str, str]:
    """Each at most once; those without a value count as left out."""
    try:
        pairs = parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=100)
    except ValueError as error:
        raise Refused("invalid_request", f"cannot read the form: {FORM} holds ASCII, escaped UTF-8") from error
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise Refused("invalid_request", "cannot read the form: a field is there twice")
    return fields


def _check_scope(given: str | None) -> None:
    """Any scope may be asked for; what is granted follows from the client alone, and is told."""
    if given is not None and not _SCOPE.fullmatch(given):
        raise Refused("invalid_scope", "cannot read scope: it is words of visible ASCII between single spaces")


def _basic(authorization: str | None) -> tuple[tuple[str, str], ...] | None:
    """The spellings of an `Authorization: Basic` header; None for no header or one of another scheme."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode("ascii").partition(":")
    except ValueError:
        colon = ""
    if not colon:
        raise Refused("invalid_client", "cannot read the Basic header: it must be base64 of client_id:client_secret")
    plain = _checked(client_id, secret)
    decoded = unquote_plus(client_id), unquote_plus(secret)
    return (plain,) if decoded == plain else (plain, _checked(*decoded))
