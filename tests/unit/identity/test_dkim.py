"""Signing keys on disk: made once, kept as they are, rotated by state."""

from __future__ import annotations

import base64
import stat
import threading
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mailu.address import DomainName, parse_domain
from mailu.identity.dkim import (
    DkimKeyError,
    Selector,
    add_key,
    change_state,
    default_selectors,
    ensure_keys,
    import_key,
    load_keys,
    remove_keys,
)

ORG = DomainName("example.org")
MESSAGE = b"From: anna@example.org\r\nTo: b@example.net\r\nSubject: hello\r\n\r\nText\r\n"


def _old_rsa_pem(traditional: bool = False) -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    form = PrivateFormat.TraditionalOpenSSL if traditional else PrivateFormat.PKCS8
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def test_a_new_domain_gets_an_rsa_and_an_ed25519_key_that_sign_at_once(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path, ORG)
    assert [(key.selector, key.algorithm, key.state) for key in keys] == [
        ("dkim", "rsa", "active"),
        ("dkim-ed25519", "ed25519", "active"),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["example.org.dkim-ed25519.key", "example.org.dkim.key"]


def test_key_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    ensure_keys(tmp_path, ORG)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("algorithm", ["rsa", "ed25519"])
def test_what_a_key_signs_verifies_against_its_record(tmp_path: Path, algorithm: str) -> None:
    key = next(key for key in ensure_keys(tmp_path, ORG) if key.algorithm == algorithm)
    private = key.private_pem if algorithm == "rsa" else key.rspamd_key
    signature = dkim.sign(
        MESSAGE,
        key.selector.encode(),
        b"example.org",
        private.encode(),
        signature_algorithm=b"ed25519-sha256" if algorithm == "ed25519" else b"rsa-sha256",
    )
    asked: list[bytes] = []

    def record(name: bytes, timeout: int = 5) -> bytes:
        asked.append(name)
        return key.record.encode()

    assert dkim.verify(signature + MESSAGE, dnsfunc=record)
    assert asked == [f"{key.selector}._domainkey.example.org.".encode()]


def test_the_record_has_the_shape_that_stands_in_existing_zones(tmp_path: Path) -> None:
    rsa_key, ed25519_key = ensure_keys(tmp_path, ORG)
    assert rsa_key.record.startswith("v=DKIM1; k=rsa; p=MII")
    assert '"' not in rsa_key.record
    assert " " not in rsa_key.record.partition("p=")[2]
    assert ed25519_key.record.startswith("v=DKIM1; k=ed25519; p=")
    assert len(base64.b64decode(ed25519_key.record.partition("p=")[2])) == 32


def test_asking_again_changes_nothing(tmp_path: Path) -> None:
    first = ensure_keys(tmp_path, ORG)
    assert ensure_keys(tmp_path, ORG) == first
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("traditional", [False, True])
def test_an_existing_key_signs_on_and_the_new_one_waits_for_its_record(tmp_path: Path, traditional: bool) -> None:
    (tmp_path / "example.org.dkim.key").write_bytes(_old_rsa_pem(traditional))
    before = (tmp_path / "example.org.dkim.key").read_bytes()
    assert [key.selector for key in ensure_keys(tmp_path, ORG)] == ["dkim"]
    assert (tmp_path / "example.org.dkim.key").read_bytes() == before
    assert [key.selector for key in load_keys(tmp_path, ORG, ("pending",))] == ["dkim-ed25519"]


def test_a_key_stored_under_the_unicode_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "bücher-example.org.dkim.key").write_bytes(_old_rsa_pem())
    domain = parse_domain("bücher-example.org")
    assert [key.selector for key in ensure_keys(tmp_path, domain, [Selector("dkim", "rsa")])] == ["dkim"]
    assert len(list(tmp_path.iterdir())) == 1


def test_keys_of_a_longer_name_are_not_those_of_a_shorter_one(tmp_path: Path) -> None:
    ensure_keys(tmp_path, ORG)
    assert load_keys(tmp_path, DomainName("example")) == []
    assert load_keys(tmp_path, DomainName("org")) == []


def test_no_key_and_a_broken_key_are_different_answers(tmp_path: Path) -> None:
    assert load_keys(tmp_path, ORG) == []
    (tmp_path / "example.org.dkim.key").write_text("not a key")
    with pytest.raises(DkimKeyError, match=r"example\.org\.dkim\.key: this is not a private key"):
        load_keys(tmp_path, ORG)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(DkimKeyError, match="RSA or Ed25519"):
        import_key(tmp_path, ORG, "dkim", pem)
    assert list(tmp_path.iterdir()) == []


def test_rotation_goes_through_pending_active_and_retired(tmp_path: Path) -> None:
    ensure_keys(tmp_path, ORG, [Selector("dkim", "rsa")])
    new = add_key(tmp_path, ORG, Selector("s2", "ed25519"))
    assert new.state == "pending"
    change_state(tmp_path, ORG, "s2", "active")
    change_state(tmp_path, ORG, "dkim", "retired")
    assert [key.selector for key in load_keys(tmp_path, ORG)] == ["s2"]
    shown = load_keys(tmp_path, ORG, ("active", "retired"))
    assert [(key.selector, key.state) for key in shown] == [("dkim", "retired"), ("s2", "active")]


def test_a_retired_selector_is_not_used_again(tmp_path: Path) -> None:
    ensure_keys(tmp_path, ORG)
    change_state(tmp_path, ORG, "dkim", "retired")
    with pytest.raises(DkimKeyError, match="already has a key"):
        add_key(tmp_path, ORG, Selector("dkim", "rsa"))
    assert [key.selector for key in ensure_keys(tmp_path, ORG)] == ["dkim-ed25519"]


def test_changing_the_state_of_an_absent_key_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DkimKeyError, match="no key for the selector 'dkim'"):
        change_state(tmp_path, ORG, "dkim", "active")


@pytest.mark.parametrize("name", ["", "a.b", "../x", "-a", "a-", "A", "a b", "x" * 64])
def test_a_selector_must_be_one_label(tmp_path: Path, name: str) -> None:
    with pytest.raises(DkimKeyError, match="cannot be a selector"):
        ensure_keys(tmp_path, ORG, [Selector(name, "rsa")])


def test_removing_a_domain_leaves_the_keys_of_others(tmp_path: Path) -> None:
    other = DomainName("sub.example.org")
    ensure_keys(tmp_path, ORG)
    ensure_keys(tmp_path, other)
    remove_keys(tmp_path, ORG)
    assert load_keys(tmp_path, ORG) == []
    assert len(load_keys(tmp_path, other)) == 2


def test_an_imported_key_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    ensure_keys(tmp_path, ORG, [Selector("dkim", "rsa")])
    pem = _old_rsa_pem()
    key = import_key(tmp_path, ORG, "dkim", pem)
    assert load_keys(tmp_path, ORG) == [key]
    assert key.private_pem.encode() == pem
    assert len(list(tmp_path.iterdir())) == 1


def test_two_processes_at_once_agree_on_one_key(tmp_path: Path) -> None:
    seen: list[str] = []

    def make() -> None:
        seen.extend(key.record for key in ensure_keys(tmp_path, ORG, [Selector("dkim", "ed25519")]))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_the_private_key_does_not_show_in_logs(tmp_path: Path) -> None:
    key = ensure_keys(tmp_path, ORG)[0]
    assert "PRIVATE" not in repr(key)
    assert "PRIVATE" not in str([key])


def test_the_default_selectors_keep_the_name_mailu_used() -> None:
    assert [selector.name for selector in default_selectors()] == ["dkim", "dkim-ed25519"]
    assert [selector.name for selector in default_selectors("mail")] == ["mail", "mail-ed25519"]


def test_no_key_looks_like_a_path_to_rspamd(tmp_path: Path) -> None:
    seed = bytes([255]) * 32
    assert base64.b64encode(seed).startswith(b"/")
    pem = ed25519.Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    given = import_key(tmp_path, ORG, "dkim-ed25519", pem).rspamd_key
    assert not given.startswith(("/", "."))
    assert base64.b64decode(given) == seed
