"""Certificates for tests: quick keys, chosen dates."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def self_signed_server(address: str) -> tuple[Key, x509.Certificate]:
    """A key and a certificate for an IP address."""
    return make_certificate(x509.IPAddress(ipaddress.ip_address(address)))


def make_certificate(
    *names: x509.GeneralName,
    begins: datetime | None = None,
    days: float = 30,
    key: Key | None = None,
) -> tuple[Key, x509.Certificate]:
    """A certificate signed by its own key, which works as its own authority too."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    first = begins or datetime.now(UTC) - timedelta(hours=1)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(first + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    return key, certificate


def write_pair(
    folder: Path, name: str, *, begins: datetime | None = None, days: float = 90, key: Key | None = None
) -> None:
    """``fullchain.pem`` and ``privkey.pem`` for a DNS name in *folder*."""
    key, certificate = make_certificate(x509.DNSName(name), begins=begins, days=days, key=key)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "privkey.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@dataclass(frozen=True)
class TestAuthority:
    """A certification authority of a test's own, whose certificates look like those of the real ones."""

    __test__ = False
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls) -> TestAuthority:
        """A new one."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of a test")])
        return cls(key, _sign(subject, key.public_key(), subject, key, (_AUTHORITY, _CERT_SIGN), days=30))

    def pem(self) -> bytes:
        """What clients trust."""
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        folder: Path,
        *names: str,
        key: Key | None = None,
        days: float = 90,
        files: tuple[str, str] = ("fullchain.pem", "privkey.pem"),
    ) -> str:
        """Write the chain and the key for *names* into *folder*; returns the data of a TLSA record 3 1 1."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (
            (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            _usage(digital_signature=True, key_encipherment=isinstance(key, rsa.RSAPrivateKey)),
            (x509.CRLDistributionPoints([_point("http://authority.test/list.crl")]), False),
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        leaf = _sign(subject, key.public_key(), self.certificate.subject, self.key, extensions, days=days)
        folder.mkdir(parents=True, exist_ok=True)
        chain, private = files
        (folder / private).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / chain).write_bytes(leaf.public_bytes(Encoding.PEM) + self.pem())
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"3 1 1 {hashlib.sha256(public).hexdigest()}"


def _usage(
    *, digital_signature: bool = False, key_encipherment: bool = False, cert_sign: bool = False
) -> tuple[x509.ExtensionType, bool]:
    usage = x509.KeyUsage(
        digital_signature=digital_signature, key_encipherment=key_encipherment, key_cert_sign=cert_sign,
        crl_sign=cert_sign, content_commitment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return usage, True


def _point(url: str) -> x509.DistributionPoint:
    return x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)


_AUTHORITY: tuple[x509.ExtensionType, bool] = (x509.BasicConstraints(ca=True, path_length=0), True)
_CERT_SIGN = _usage(cert_sign=True)


def _sign(
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...],
    *,
    days: float,
) -> x509.Certificate:
    begins = datetime.now(UTC) - timedelta(hours=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, SHA256())
