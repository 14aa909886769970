"""What is answered to those whom a guard turns away, by the details that Envoy's filters give.

A table of (condition, answer). The condition is an expression (CEL) over the answer's attributes; envoyproxy.io,
"Attributes". Details: `rbac_access_denied_matched_policy[<policy>]`, `jwt_authn_access_denied{<what is wrong>}`, which
is the same for a wrong signature and a missing `exp`.
"""

from roost_server.domain import errors
from roost_server.domain.route import Refusal
from roost_server.gateway.resources import addresses, claims, limits
from roost_server.gateway.resources.replies import Reply

CHALLENGE = 'Bearer realm="roost"'
"""In place of Envoy's, which repeats the URL that was asked for."""

INVALID = f'{CHALLENGE}, error="invalid_token"'


def _token(fragment: str) -> str:
    return f"response.code_details.startsWith('jwt_authn_access_denied{{{fragment}')"


def _policy(name: str) -> str:
    return f"response.code_details.startsWith('rbac_access_denied_matched_policy[{name}')"


def _unauthenticated(why: str, challenge: str = INVALID) -> Reply:
    detail = f"cannot authenticate this request: {why}"
    return Reply(errors.Unauthenticated, detail, Refusal.UNAUTHENTICATED, headers=(("www-authenticate", challenge),))


def _forbidden(why: str) -> Reply:
    return Reply(errors.Forbidden, f"cannot let this caller in: {why}", Refusal.FORBIDDEN)


BY_DETAILS: tuple[tuple[str, Reply], ...] = (
    (_token("Jwt_is_missing"), _unauthenticated("it has no token; send `Authorization: Bearer <token>`", CHALLENGE)),
    (_token("Jwt_is_expired"), _unauthenticated("its token has expired")),
    (_token("Jwt_not_yet_valid"), _unauthenticated("its token is not valid yet")),
    (_token("Jwt_issuer_is_not_configured"), _unauthenticated("its token is of another issuer")),
    (_token("Jwt_verification_fails"), _unauthenticated("its token's signature is wrong, or it has no `exp`")),
    (_token("Jwks_doesn't_have_key".replace("'", r"\'")), _unauthenticated("its token is signed with an unknown key")),
    (
        _token("Wrong_requirement_name"),
        Reply(
            errors.Unavailable,
            "cannot check tokens right now: try again",
            Refusal.KEYS_UNAVAILABLE,
            retry_after_seconds=1,
        ),
    ),
    (_token(""), _unauthenticated("its token cannot be read (%RESPONSE_CODE_DETAILS%)")),
    (_policy(claims.TOKEN), _unauthenticated("its token is not alone; send `Authorization: Bearer <token>`")),
    (_policy(claims.AUDIENCE), _unauthenticated("its token is for another audience")),
    (_policy(addresses.ADDRESS), _forbidden("its address is not in a range that this endpoint allows")),
    (_policy(claims.KNOWN), _forbidden("its token is none of this endpoint's, or was deleted")),
    (_policy(claims.CLAIM), _forbidden("the token's claims are not allowed here (%RESPONSE_CODE_DETAILS%)")),
    (_policy(claims.USER), _forbidden("the token does not name its user (%RESPONSE_CODE_DETAILS%)")),
    (
        "response.code_details == 'local_rate_limited'",
        Reply(
            errors.RateLimited,
            "cannot take this request now: it is more than the endpoint's rate limit allows",
            Refusal.RATE_LIMITED,
            headers=(("retry-after", f"%METADATA(VIRTUAL_HOST:{limits.METADATA}:{limits.RETRY_AFTER})%"),),
        ),
    ),
)
