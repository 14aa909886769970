"""The gateway's certificates: the operator's files, or those of a local CA made at the first start.

Clients trust the local CA by its certificate `tls/ca.crt` in the data directory. What it signs is short-lived and
made anew well before it ends.
"""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from roost_server.domain import errors

CA_DAYS = 3650
LEAF_DAYS = 90
RENEW_DAYS = 30
CA_RENEW_DAYS = LEAF_DAYS + RENEW_DAYS
CLOCK_SKEW = timedelta(hours=1)
COMMON_NAME_MAX = 64


@dataclass(frozen=True)
class KeyPair:
    """A certificate chain and its private key, as PEM, and when the certificate ends."""

    chain: bytes
    key: bytes
    ends: datetime


class Authority:
    """The local CA. Made once, kept in `directory`."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())

    @classmethod
    def load_or_make(cls, directory: Path, now: datetime) -> "Authority":
        """The CA in `directory`; a new one if there is none or it is about to end."""
        directory.mkdir(parents=True, exist_ok=True)
        certificate_file, key_file = directory / "ca.crt", directory / "ca.key"
        known = _load(certificate_file, key_file)
        if known is not None and not cls(*known).is_due(now):
            return cls(*known)
        certificate, key = _make_ca(now)
        _write_private(key_file, _pem_key(key))
        certificate_file.write_bytes(_pem(certificate))
        return cls(certificate, key)

    def is_due(self, now: datetime) -> bool:
        """Whether what it signs now could outlive it."""
        return is_due(self._certificate.not_valid_after_utc, now, CA_RENEW_DAYS)

    @property
    def certificate_pem(self) -> bytes:
        return _pem(self._certificate)

    def issue(self, names: list[str], now: datetime) -> KeyPair:
        """A server certificate for `names` (each a host or a wildcard), with the CA's behind it."""
        key = self._leaf_key
        builder = _draft(names[0], self._certificate.subject, key, now, LEAF_DAYS)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        builder = builder.add_extension(_usage(digital_signature=True), True)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        return KeyPair(_pem(certificate) + self.certificate_pem, _pem_key(key), certificate.not_valid_after_utc)


def read_operators(certificate: Path, key: Path) -> KeyPair:
    """The operator's files. Raises `Invalid` naming the setting when they cannot be used together."""
    chain_pem, key_pem = _read("tls_certificate", certificate), _read("tls_key", key)
    try:
        leaf = x509.load_pem_x509_certificates(chain_pem)[0]
        private = serialization.load_pem_private_key(key_pem, None)
    except (ValueError, TypeError) as error:
        raise errors.Invalid(f"cannot use tls_certificate {certificate} with tls_key {key}: {error}") from error
    if private.public_key() != leaf.public_key():
        raise errors.Invalid(f"cannot use tls_key {key}: it does not belong to tls_certificate {certificate}")
    return KeyPair(chain_pem, key_pem, leaf.not_valid_after_utc)


def is_due(ends: datetime, now: datetime, days: int = RENEW_DAYS) -> bool:
    """Whether it is time to replace a certificate."""
    return ends - now < timedelta(days=days)


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.Invalid(f"cannot read {setting} {path}: {error.strerror}") from error


def _load(certificate: Path, key: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != loaded.public_key():
        return None
    return loaded, private


def _make_ca(now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Roost local CA {os.urandom(4).hex()}")
    builder = _draft(name, name, key, now, CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), True)
    return builder.sign(key, hashes.SHA256()), key


def _draft(
    subject: str | x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(
        subject_name=_name(subject) if isinstance(subject, str) else subject,
        issuer_name=issuer,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - CLOCK_SKEW,
        not_valid_after=now + timedelta(days=days),
    )
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:COMMON_NAME_MAX])])


def _usage(**granted: bool) -> x509.KeyUsage:
    every = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: granted.get(name, False) for name in every.split()})


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(path: Path, content: bytes) -> None:
    """Readable by the owner alone from its first moment on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
