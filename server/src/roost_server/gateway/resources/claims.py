"""What a verified token must say, as an RBAC filter over what the token filter left of it.

Every demand is a policy that denies whoever does not meet it; its name is in the details of Envoy's answer, from which
`guard_replies.py` says what was missing.
"""

from collections.abc import Iterable
from typing import Any

from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as filter_pb2
from envoy.type.matcher.v3 import metadata_pb2, number_pb2, regex_pb2, string_pb2, value_pb2
from envoy.type.v3 import range_pb2

from roost_server.domain import guards
from roost_server.domain.route import JwtCheck
from roost_server.gateway.resources import extensions, tokens

FILTER = "roost.claims"
TOKEN, AUDIENCE, KNOWN, CLAIM, USER = "token", "audience", "known", "claim:", "user:"
"""How policies are named."""

ONE_TOKEN = r"[Bb]earer +[A-Za-z0-9_.=-]+ *"
"""All that the header may hold, with every scheme in `tokens.PREFIXES`."""

PRINTABLE = r"[^\x00-\x1f\x7f]+"
"""What may become a header: not empty, no control character."""

Value = str | bool | int
Path = tuple[str, ...]


def http_filter() -> Any:
    return extensions.inline(FILTER, filter_pb2.RBAC())


def per_route(check: JwtCheck) -> Any:
    """What turns the filter on for a virtual host. Raises `ValueError` for a claim that cannot be looked for."""
    demands = {TOKEN: _one_token(), USER + check.user_claim: _any_of(_names_somebody(_nested(check.user_claim)))}
    if check.audiences:
        demands[AUDIENCE] = _any_of(_equals(("aud",), check.audiences))
    for claim, values in check.claims:
        demands[_policy_of(claim, check)] = _any_of(*_claim(claim, values))
    return denying_unless(demands)


def _policy_of(claim: str, check: JwtCheck) -> str:
    """Tokens of an endpoint, which need not expire, are told from deleted ones by their id."""
    return KNOWN if claim == guards.TOKEN_ID and not check.must_expire else CLAIM + claim


def denying_unless(demands: dict[str, Any]) -> Any:
    """Denies whoever is not one of these principals; the policy's name is the demand's."""
    policies = {name: _policy(rbac_pb2.Principal(not_id=principal)) for name, principal in demands.items()}
    rules = rbac_pb2.RBAC(action=rbac_pb2.RBAC.DENY, policies=policies)
    return filter_pb2.RBACPerRoute(rbac=filter_pb2.RBAC(rules=rules))


def _policy(principal: Any) -> Any:
    return rbac_pb2.Policy(permissions=[rbac_pb2.Permission(any=True)], principals=[principal])


def _any_of(*principals: Any) -> Any:
    return rbac_pb2.Principal(or_ids=rbac_pb2.Principal.Set(ids=principals))


def _one_token() -> Any:
    """A token and nothing else. Of `BEARER <one> Bearer <other>` the other would be checked here, and the agent might
    look at the one. (Headers of one name are joined with commas.)"""
    alone = string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=ONE_TOKEN))
    header = route_components_pb2.HeaderMatcher(name=tokens.HEADER, string_match=alone)
    return rbac_pb2.Principal(header=header)


def _claim(claim: str, values: tuple[Value, ...]) -> Iterable[Any]:
    """The claim of this very name, such as `https://example.com/role`, or the one at this path."""
    nested = _nested(claim)
    for path in dict.fromkeys(((claim,), nested if all(nested) else (claim,))):
        yield _equals(path, values) if values else _is_there(path)


def _nested(claim: str) -> Path:
    return tuple(claim.split("."))


def _equals(path: Path, values: Iterable[Value]) -> Any:
    """The value itself, or a list that holds it."""
    each = [_value(value) for value in values]
    lists = [value_pb2.ValueMatcher(list_match=value_pb2.ListMatcher(one_of=matcher)) for matcher in each]
    return _at(path, _or(each + lists))


def _is_there(path: Path) -> Any:
    null = value_pb2.ValueMatcher(null_match=value_pb2.ValueMatcher.NullMatch())
    present = value_pb2.ValueMatcher(present_match=True)
    not_null = rbac_pb2.Principal(not_id=_at(path, null))
    return rbac_pb2.Principal(and_ids=rbac_pb2.Principal.Set(ids=[_at(path, present), not_null]))


def _names_somebody(path: Path) -> Any:
    """A text or number, from which the user-id headers were made."""
    text = string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=PRINTABLE))
    numbers = range_pb2.DoubleRange(start=float("-inf"), end=float("inf"))
    return _at(
        path,
        _or(
            [
                value_pb2.ValueMatcher(string_match=text),
                value_pb2.ValueMatcher(double_match=number_pb2.DoubleMatcher(range=numbers)),
            ]
        ),
    )


def _value(value: Value) -> Any:
    match value:
        case bool():
            return value_pb2.ValueMatcher(bool_match=value)
        case int():
            return value_pb2.ValueMatcher(double_match=number_pb2.DoubleMatcher(exact=float(value)))
        case _:
            return value_pb2.ValueMatcher(string_match=string_pb2.StringMatcher(exact=value))


def _or(matchers: list[Any]) -> Any:
    return value_pb2.ValueMatcher(or_match=value_pb2.OrMatcher(value_matchers=matchers))


def _at(path: Path, value: Any) -> Any:
    """Looks at what the token says. Raises `ValueError` for a path with an empty step, which Envoy would refuse."""
    if not all(path):
        raise ValueError(f'"{".".join(path)}" is no name of a claim')
    segments = [metadata_pb2.MetadataMatcher.PathSegment(key=key) for key in (tokens.PAYLOAD, *path)]
    matcher = metadata_pb2.MetadataMatcher(filter=tokens.FILTER, path=segments, value=value)
    return rbac_pb2.Principal(sourced_metadata=rbac_pb2.SourcedMetadata(metadata_matcher=matcher))
