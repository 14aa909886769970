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
        self._ca: Authority | None = None
        self._keep(secrets.DEFAULT, self._make(secrets.DEFAULT))

    def context(self) -> Any:
        """What the TLS listener is to be told."""
        return secrets.one_per_host() if self._per_host else secrets.one_for_all()

    def secrets(self) -> dict[str, Resource]:
        """Every certificate made so far, by the name under which Envoy asks for it."""
        return self._secrets

    def for_host(self, name: str) -> Resource | None:
        """The certificate of one host, or None if the host cannot be one of ours."""
        if not self._per_host or not self._is_ours(name.lower()) or len(self._issued) >= MOST_HOSTS:
            return None
        return self._keep(name, self._make(name))

    def renew(self) -> bool:
        """Replace what is about to end, or what the operator replaced. Whether anything changed. Raises `Invalid`
        and keeps what there is if the operator's new files cannot be used."""
        fresh = {name: self._make(name) for name in self._due()}
        changed = {name: pair for name, pair in fresh.items() if pair != self._issued.get(name)}
        for name, pair in changed.items():
            self._keep(name, pair)
        return bool(changed)

    def _due(self) -> list[str]:
        now = self._clock()
        return [name for name, pair in self._issued.items() if self._operators or certificates.is_due(pair.ends, now)]

    @property
    def _operators(self) -> bool:
        return self._settings.tls_certificate is not None

    @property
    def _per_host(self) -> bool:
        return not self._operators and "." not in self._settings.domain

    def _keep(self, name: str, pair: KeyPair) -> Resource:
        self._issued[name] = pair
        self._secrets[name] = secrets.secret(name, pair.chain, pair.key)
        return self._secrets[name]

    def _make(self, name: str) -> KeyPair:
        certificate, key = self._settings.tls_certificate, self._settings.tls_key
        if certificate is not None and key is not None:
            return certificates.read_operators(certificate, key)
        domain = self._settings.domain
        names = [domain, f"*.{domain}"] if name == secrets.DEFAULT else [name.lower()]
        return self._authority().issue(names, self._clock())

    def _authority(self) -> Authority:
        if self._ca is None or self._ca.is_due(self._clock()):
            self._ca = Authority.load_or_make(self._settings.tls_dir, self._clock())
        return self._ca

    def _is_ours(self, host: str) -> bool:
        label, _, parent = host.partition(".")
        return host == self._settings.domain or (bool(label) and parent == self._settings.domain)
