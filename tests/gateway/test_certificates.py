"""Which certificates are made, kept and replaced, on a clock set by hand."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from roost_server.domain import errors
from roost_server.gateway.resources.wire import Resource
from roost_server.gateway.tls import Tls


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, days: int) -> None:
        self.now += timedelta(days=days)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def leaf(resource: Resource | None) -> x509.Certificate:
    assert resource is not None
    secret = secret_pb2.Secret()
    discovery_pb2.Resource.FromString(resource.entry).resource.Unpack(secret)
    return x509.load_pem_x509_certificates(secret.tls_certificate.certificate_chain.inline_bytes)[0]


def names(certificate: x509.Certificate) -> list[str]:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName
    )


def ca(settings) -> bytes:
    return (settings.tls_dir / "ca.crt").read_bytes()


def test_the_ca_is_made_once_and_kept(settings, clock):
    Tls(settings, clock)
    made = ca(settings)
    assert (settings.tls_dir / "ca.key").stat().st_mode & 0o777 == 0o600
    Tls(settings, clock)
    assert ca(settings) == made


def test_a_ca_whose_files_do_not_belong_together_is_made_anew(settings, clock):
    Tls(settings, clock)
    made = ca(settings)
    (settings.tls_dir / "ca.key").write_text("garbage")
    Tls(settings, clock)
    assert ca(settings) != made


@pytest.mark.parametrize(
    ("domain", "host", "expected"),
    [
        ("localhost", "a.localhost", ["a.localhost"]),
        ("localhost", "A.localhost", ["a.localhost"]),
        ("localhost", "localhost", ["localhost"]),
        ("localhost", "a.b.localhost", None),
        ("localhost", ".localhost", None),
        ("localhost", "evil.example", None),
        ("example.com", "a.example.com", None),
    ],
)
def test_below_a_top_level_name_every_host_has_a_certificate_of_its_own(settings, clock, domain, host, expected):
    made = Tls(dataclasses.replace(settings, domain=domain), clock).for_host(host)
    assert (None if made is None else names(leaf(made))) == expected


def test_below_a_longer_name_one_wildcard_serves_all(settings, clock):
    tls = Tls(dataclasses.replace(settings, domain="example.com"), clock)
    assert names(leaf(tls.secrets()["server"])) == ["example.com", "*.example.com"]


def test_certificates_are_replaced_a_month_before_they_end(settings, clock):
    tls = Tls(settings, clock)
    first = leaf(tls.for_host("a.localhost"))
    clock.advance(days=59)
    assert not tls.renew()
    clock.advance(days=2)
    assert tls.renew()
    second = leaf(tls.secrets()["a.localhost"])
    assert second.not_valid_after_utc - first.not_valid_after_utc == timedelta(days=61)
    assert not tls.renew()


def test_a_ca_that_could_end_before_what_it_signs_is_replaced(settings, clock):
    tls = Tls(settings, clock)
    made = ca(settings)
    clock.advance(days=3650 - 100)
    assert tls.renew()
    assert ca(settings) != made


def test_an_operators_file_that_cannot_be_read_names_its_setting(settings, clock, tmp_path):
    settings = dataclasses.replace(settings, tls_certificate=tmp_path / "none.pem", tls_key=tmp_path / "none.key")
    with pytest.raises(errors.Invalid, match="tls_certificate"):
        Tls(settings, clock)


def test_a_certificate_without_a_key_is_refused(settings, tmp_path):
    with pytest.raises(errors.Invalid, match="tls_key"):
        dataclasses.replace(settings, tls_certificate=tmp_path / "chain.pem").check()
