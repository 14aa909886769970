"""Which certificate each host gets, and when it is replaced."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from roost_server.gateway import certificates
from roost_server.gateway.certificates import Authority, KeyPair
from roost_server.gateway.resources import secrets
from roost_server.gateway.resources.wire import Resource
from roost_server.gateway.settings import GatewaySettings

MOST_HOSTS = 20_000
"""Certificates made for names that clients asked for, who could ask for many."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class Tls:
    """The operator's certificate if one is set; else the local CA's, for `domain` and what is directly below it.

    Below a top-level name clients accept no wildcard, so there every host gets a certificate of its own, made when
    Envoy first asks for it.
    """

    def __init__(self, settings: GatewaySettings, clock: Clock = utc_now) -> None:
        """Raises `Invalid` if the operator's files cannot be used."""
        self._settings = settings
        self._clock = clock
        self._issued: dict[str, KeyPair] = {}
        self._secrets: dict[str, Resource] = {}
        self._issue_default()

    def context(self) -> Any:
        """What the TLS listener is to be told."""
        return secrets.one_per_host() if self._per_host else secrets.one_for_all()

    def secrets(self) -> dict[str, Resource]:
        """Every certificate made so far, by the name under which Envoy asks for it."""
        return self._secrets

    def for_host(self, name: str) -> Resource | None:
        """The certificate of one host, or None if the host cannot be one of ours."""
        host = name.lower()
        if not self._per_host or not self._is_ours(host) or len(self._issued) >= MOST_HOSTS:
            return None
        return self._keep(name, self._authority().issue([host], self._clock()))

    def renew(self) -> bool:
        """Replace what is about to end, or what the operator replaced. Whether anything changed."""
        before = dict(self._issued)
        if self._operators or any(certificates.is_due(pair, self._clock()) for pair in before.values()):
            self._issued.clear()
            self._issue_default()
            for name in before.keys() - self._issued.keys():
                self.for_host(name)
        return self._issued != before

    @property
    def _operators(self) -> bool:
        return self._settings.tls_certificate is not None

    @property
    def _per_host(self) -> bool:
        return not self._operators and "." not in self._settings.domain

    def _issue_default(self) -> None:
        self._keep(secrets.DEFAULT, self._default())

    def _keep(self, name: str, pair: KeyPair) -> Resource:
        self._issued[name] = pair
        self._secrets[name] = secrets.secret(name, pair.chain, pair.key)
        return self._secrets[name]

    def _default(self) -> KeyPair:
        certificate, key = self._settings.tls_certificate, self._settings.tls_key
        if certificate is not None and key is not None:
            return certificates.read_operators(certificate, key)
        domain = self._settings.domain
        return self._authority().issue([domain, f"*.{domain}"], self._clock())

    def _authority(self) -> Authority:
        return Authority.load_or_make(self._settings.tls_dir, self._clock())

    def _is_ours(self, host: str) -> bool:
        label, _, parent = host.partition(".")
        return host == self._settings.domain or (bool(label) and parent == self._settings.domain)
