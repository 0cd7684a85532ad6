"""Certificates: the self-signed one, what is wrong with a pair, which pair a host name is served with."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from mailu.address import DomainName
from mailu.identity.certificates import (
    Served,
    covers,
    ensure_self_signed,
    examine,
    inspect_pair,
    letsencrypt_pairs,
    read_chain,
    serve,
)
from mailu.identity.pairs import Content, Pair, is_self_signed_pair

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MAIL = DomainName("mail.example.org")
MX = DomainName("mx.example.org")

AuthorityKey = ec.EllipticCurvePrivateKey


def _issue(
    folder: Path,
    *names: str,
    start: datetime = NOW - timedelta(days=10),
    days: int = 90,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
    intermediate: bool = True,
) -> Pair:
    """A pair for *names*, signed by an authority of the test's own."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = ec.generate_private_key(ec.SECP256R1())
    own = key or ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority")])

    def build(subject: x509.Name, public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
        builder = x509.CertificateBuilder().issuer_name(issuer).subject_name(subject).public_key(public)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=days))
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
            )
        return builder.sign(authority, SHA256()).public_bytes(Encoding.PEM)

    leaf = build(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]), own.public_key())
    pair = Pair(folder / "cert.pem", folder / "key.pem")
    pair.chain.write_bytes(leaf + (build(issuer, authority.public_key()) if intermediate else b""))
    pair.key.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return pair


def _serve(folder: Path, names: list[DomainName], *pairs: Pair) -> Served:
    return serve(folder, names, [examine(pair) for pair in pairs], now=NOW)


def _texts(pair: Pair, *names: str, now: datetime = NOW) -> list[str]:
    return [problem.text for problem in inspect_pair(pair.chain, pair.key, names, now=now)]


def test_the_self_signed_pair_loads_and_covers_every_host_name(tmp_path: Path) -> None:
    pair = ensure_self_signed(tmp_path, [MAIL, MX])
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pair.chain, pair.key)
    leaf = read_chain(pair.chain)[0]
    assert covers(leaf, MAIL)
    assert covers(leaf, MX)
    assert is_self_signed_pair(pair.chain)
    assert stat.S_IMODE(pair.key.stat().st_mode) == 0o600


def test_the_self_signed_pair_is_kept_while_it_is_good(tmp_path: Path) -> None:
    first = ensure_self_signed(tmp_path, [MAIL, MX], now=NOW).chain.read_bytes()
    assert ensure_self_signed(tmp_path, [MX, MAIL], now=NOW + timedelta(days=300)).chain.read_bytes() == first


@pytest.mark.parametrize(
    ("names", "days"),
    [([MAIL], 1), ([MAIL, MX, DomainName("third.example.org")], 1), ([MAIL, MX], 340), ([MAIL, MX], 500)],
)
def test_the_self_signed_pair_is_renewed_in_time_and_for_new_names(
    tmp_path: Path, names: list[DomainName], days: int
) -> None:
    first = ensure_self_signed(tmp_path, [MAIL, MX], now=NOW).chain.read_bytes()
    later = NOW + timedelta(days=days)
    pair = ensure_self_signed(tmp_path, names, now=later)
    assert pair.chain.read_bytes() != first
    assert [text for text in _texts(pair, *names, now=later) if "self-signed" not in text] == []


def test_a_half_written_self_signed_pair_is_made_again(tmp_path: Path) -> None:
    pair = ensure_self_signed(tmp_path, [MAIL], now=NOW)
    pair.key.unlink()
    ensure_self_signed(tmp_path, [MAIL], now=NOW)
    assert "cannot be read" not in " ".join(_texts(pair))


def test_files_of_somebody_else_are_not_overwritten(tmp_path: Path) -> None:
    _issue(tmp_path / "self-signed", MAIL, days=1)
    before = (tmp_path / "self-signed" / "cert.pem").read_bytes()
    ensure_self_signed(tmp_path, [MX], now=NOW)
    assert (tmp_path / "self-signed" / "cert.pem").read_bytes() == before


def test_a_very_long_host_name_gets_a_certificate_too(tmp_path: Path) -> None:
    name = DomainName(".".join(["a" * 40] * 4))
    assert covers(read_chain(ensure_self_signed(tmp_path, [name]).chain)[0], name)


def test_a_good_pair_has_no_problems(tmp_path: Path) -> None:
    assert _texts(_issue(tmp_path, MAIL, MX), MAIL, MX) == []


def test_a_wildcard_stands_for_one_label(tmp_path: Path) -> None:
    leaf = read_chain(_issue(tmp_path, "*.example.org").chain)[0]
    assert covers(leaf, "mail.example.org")
    assert not covers(leaf, "a.mail.example.org")
    assert not covers(leaf, "example.org")


def test_the_common_name_counts_for_nothing(tmp_path: Path) -> None:
    assert _texts(_issue(tmp_path), "leaf") == [f"the certificate in {tmp_path}/cert.pem is not for leaf"]


def test_a_missing_chain_is_unusable_and_named(tmp_path: Path) -> None:
    problems = inspect_pair(tmp_path / "cert.pem", tmp_path / "key.pem", now=NOW)
    assert [(p.severity, p.text) for p in problems] == [
        ("unusable", f"{tmp_path}/cert.pem cannot be read: No such file or directory")
    ]


def test_a_file_without_a_certificate_is_unusable(tmp_path: Path) -> None:
    pair = _issue(tmp_path, MAIL)
    pair.chain.write_bytes(pair.key.read_bytes())
    assert inspect_pair(pair.chain, pair.key, now=NOW)[0].severity == "unusable"
    assert "holds no certificate in PEM form" in _texts(pair)[0]


def test_a_key_of_another_certificate_is_unusable(tmp_path: Path) -> None:
    pair = _issue(tmp_path / "a", MAIL)
    other = _issue(tmp_path / "b", MAIL)
    problem = inspect_pair(pair.chain, other.key, now=NOW)[0]
    assert problem.severity == "unusable"
    assert problem.text == f"{other.key} is not the private key of the certificate for mail.example.org"


def test_a_key_behind_a_passphrase_is_unusable(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pair = _issue(tmp_path, MAIL, key=key)
    pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    assert "passphrase" in _texts(pair)[0]


def test_a_key_of_an_unusual_kind_is_unusable(tmp_path: Path) -> None:
    pair = _issue(tmp_path, MAIL)
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pair.key.write_bytes(pem)
    assert "neither an RSA nor an ECDSA key" in _texts(pair)[0]


def test_an_expired_pair_is_said_with_its_date(tmp_path: Path) -> None:
    pair = _issue(tmp_path, MAIL, start=datetime(2026, 1, 1, tzinfo=UTC), days=90)
    assert _texts(pair, MAIL) == [f"the certificate in {pair.chain} expired on 01 April 2026"]


def test_a_pair_of_the_future_is_said(tmp_path: Path) -> None:
    pair = _issue(tmp_path, MAIL, start=NOW + timedelta(hours=3))
    assert "is valid from 01 May 2026 15:00 UTC only" in _texts(pair, MAIL)[0]


def test_a_chain_without_its_intermediate_is_said(tmp_path: Path) -> None:
    assert "fullchain.pem" in _texts(_issue(tmp_path, MAIL, intermediate=False))[0]


def test_a_key_that_openssl_does_not_take_is_unusable(tmp_path: Path) -> None:
    """Postfix would notice with the first client only."""
    pair = _issue(tmp_path, MAIL, key=rsa.generate_private_key(public_exponent=65537, key_size=1024))
    assert _texts(pair) == [
        f"no server takes the certificate in {pair.chain}: ee key too small",
        f"the key of {pair.chain} has 1024 bits only",
    ]


@pytest.mark.parametrize("missing_octets", [1, 20, 300, 500])
def test_a_chain_that_is_cut_off_is_unusable(tmp_path: Path, missing_octets: int) -> None:
    pair = _issue(tmp_path, MAIL)
    whole = pair.chain.read_bytes().rstrip()
    pair.chain.write_bytes(whole[:-missing_octets])
    assert _texts(pair) == [f"{pair.chain} is not complete: it ends within a certificate"]


def test_words_around_a_pair_do_no_harm_and_are_not_served(tmp_path: Path) -> None:
    pair = _issue(tmp_path, MAIL)
    chain, key = pair.chain.read_bytes(), pair.key.read_bytes()
    both = b"Bag Attributes: K\xf6nig\n--- the key ---\n" + key + b"\n--- the chain:\n" + chain + b"--- end\n"
    pair.chain.write_bytes(both)
    candidate = examine(Pair(pair.chain, pair.chain))
    assert (candidate.unusable, candidate.content.chain, candidate.content.key) == ("", chain, key)


def test_what_is_served_is_what_was_read_whatever_becomes_of_the_files(tmp_path: Path) -> None:
    pair = _issue(tmp_path / "x", MAIL)
    chain, key = pair.chain.read_bytes(), pair.key.read_bytes()
    candidate = examine(pair)
    pair.chain.write_text("garbage")
    pair.key.unlink()
    served = serve(tmp_path, [MAIL], [candidate], now=NOW)
    assert served.certificates == ((MAIL, pair.chain, pair.key),)
    assert served.contents[pair] == Content(chain, key)


def test_symbolic_links_are_followed(tmp_path: Path) -> None:
    real = _issue(tmp_path / "archive", MAIL)
    live = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    live.chain.symlink_to(real.chain)
    live.key.symlink_to(real.key)
    assert _texts(live, MAIL) == []


def test_every_host_name_is_served_with_the_pair_that_covers_it(tmp_path: Path) -> None:
    mail = _issue(tmp_path / "mail", MAIL)
    mx = _issue(tmp_path / "mx", MX)
    served = _serve(tmp_path, [MAIL, MX], mx, mail)
    assert served.certificates == ((MAIL, mail.chain, mail.key), (MX, mx.chain, mx.key))
    assert served.problems == ()
    assert not (tmp_path / "self-signed").exists()


def test_the_pair_that_is_good_for_longest_is_preferred(tmp_path: Path) -> None:
    _issue(tmp_path / "old", MAIL, days=20)
    new = _issue(tmp_path / "new", MAIL, days=80)
    old = Pair(tmp_path / "old" / "cert.pem", tmp_path / "old" / "key.pem")
    assert _serve(tmp_path, [MAIL], new, old).certificates == ((MAIL, new.chain, new.key),)


def test_an_expired_pair_is_still_served_and_said(tmp_path: Path) -> None:
    pair = _issue(tmp_path / "x", MAIL, days=1)
    served = _serve(tmp_path, [MAIL], pair)
    assert served.certificates == ((MAIL, pair.chain, pair.key),)
    assert "expired" in served.problems[0][1]


def test_one_bad_name_does_not_take_the_others_down(tmp_path: Path) -> None:
    pair = _issue(tmp_path / "x", MAIL)
    broken = Pair(tmp_path / "absent.pem", tmp_path / "absent.key")
    served = _serve(tmp_path, [MAIL, MX], broken, pair)
    assert [entry[1] for entry in served.certificates] == [pair.chain, pair.chain]
    assert served.problems == ((MX, f"the certificate in {pair.chain} is not for {MX}"),)


def test_without_any_pair_a_self_signed_one_is_served_and_the_reason_kept(tmp_path: Path) -> None:
    missing = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    served = _serve(tmp_path, [MAIL, MX], missing)
    assert {is_self_signed_pair(chain) for _, chain, _ in served.certificates} == {True}
    assert served.problems[0] == (MAIL, f"{tmp_path}/cert.pem cannot be read: No such file or directory")
    assert [name for name, _ in served.problems] == [MAIL, MX]


def test_before_the_first_issue_the_reason_says_so(tmp_path: Path) -> None:
    assert _serve(tmp_path, [MAIL]).problems == ((MAIL, "no certificate was issued yet"),)


def test_pairs_of_certbot_are_found(tmp_path: Path) -> None:
    for name in ("mail.example.org", "mailu"):
        folder = tmp_path / "letsencrypt" / "live" / name
        folder.mkdir(parents=True)
        (folder / "fullchain.pem").touch()
    assert [pair.key.parent.name for pair in letsencrypt_pairs(tmp_path)] == ["mail.example.org", "mailu"]
    assert letsencrypt_pairs(tmp_path / "absent") == []
