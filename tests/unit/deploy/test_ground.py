"""What is there before any service: a root that can be used, a secret, certificates."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.pki import TestAuthority, write_pair
from tests.unit.deploy.fake_room import situation

from mailu.deploy import ground
from mailu.deploy.ground import Unsuitable, Verdict
from mailu.identity.issuing.state import chain_with_root
from mailu.identity.pairs import is_self_signed_pair
from mailu.places import Places


@pytest.fixture
def root() -> Iterator[Path]:
    """A short path that everybody can enter: pytest's own folders are long and closed."""
    with tempfile.TemporaryDirectory(prefix="g-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_root_is_made_with_its_folders(root: Path) -> None:
    places = Places(root / "mailu")
    ground.prepare_root(places)
    assert {path.name for path in places.root.iterdir()} == {"certs", "overrides", "run"}
    assert stat.S_IMODE(places.logs.stat().st_mode) == 0o750
    assert stat.S_IMODE((places.run / "pids").stat().st_mode) == 0o700


def test_a_path_that_is_too_long_for_sockets_is_refused(root: Path) -> None:
    with pytest.raises(Unsuitable, match="is too long a path"):
        ground.prepare_root(Places(root / ("x" * 80)))


def test_a_closed_folder_above_the_root_is_named(root: Path) -> None:
    root.chmod(0o700)
    with pytest.raises(Unsuitable, match=f"chmod o\\+x {root}"):
        ground.prepare_root(Places(root / "mailu"))


def test_a_root_that_is_a_file_is_refused_in_words(root: Path) -> None:
    (root / "mailu").write_text("")
    with pytest.raises(Unsuitable, match="cannot be used"):
        ground.prepare_root(Places(root / "mailu"))


def test_the_secret_is_made_once_and_others_cannot_read_it(root: Path) -> None:
    places = Places(root)
    ground.prepare_root(places)
    secret = ground.directory_secret(places)
    assert len(secret) == 64
    assert ground.directory_secret(places) == secret
    assert stat.S_IMODE((places.run / "directory" / "secret").stat().st_mode) == 0o640


def test_without_a_certificate_a_self_signed_one_stands_in_and_that_is_said(root: Path) -> None:
    made = situation(root)
    ground.prepare_root(made.places)
    host = ground.read_host(made.places, made.settings, Verdict())
    found, warnings = ground.situation_of(made.settings, host)
    assert [name for name, _, _ in found.certificates] == ["mail.example.com"]
    files = found.pair_files()
    assert {name: file.mode for name, file in files.items()} == {
        "tls/self-signed/cert.pem": 0o644, "tls/self-signed/key.pem": 0o600,
    }  # fmt: skip
    request = found.request(root / "etc", None)
    assert request.certificates == [
        ("mail.example.com", root / "etc/tls/self-signed/cert.pem", root / "etc/tls/self-signed/key.pem")
    ]
    assert is_self_signed_pair(request.certificates[0][1])
    assert any("mail.example.com" in text and "a self-signed one stands in" in text for text in warnings)


def test_configurations_that_name_moved_ports_are_forgotten(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = situation(root)
    ground.prepare_root(made.places)
    ground.read_host(made.places, made.settings, Verdict())
    link = made.places.service("imap") / "etc"
    link.parent.mkdir()
    link.symlink_to("etc.1")
    ground.read_host(made.places, made.settings, Verdict())
    assert link.is_symlink()
    file = ground.port_names(made.places)[0]
    file.write_text(file.read_text().replace(": 2", ": 1", 1))
    monkeypatch.setattr("mailu.deploy.ports._free", lambda port: port > 20_000)
    ground.read_host(made.places, made.settings, Verdict())
    assert not link.is_symlink()


def test_the_host_says_who_resolves(root: Path) -> None:
    made = situation(root)
    ground.prepare_root(made.places)
    host = ground.read_host(made.places, made.settings, Verdict(system_validates=True, resolves=False))
    assert (host.resolver_port, host.resolver_validates, host.resolves) == (0, True, False)
    assert host.unbound_port > 0


def test_the_named_pair_goes_before_one_in_a_folder_that_lasts_longer(root: Path) -> None:
    made = situation(root)
    ground.prepare_root(made.places)
    write_pair(made.places.certs / "backup", "mail.example.com", days=300)
    write_pair(made.places.certs, "mail.example.com", days=60)
    (made.places.certs / "fullchain.pem").rename(made.places.certs / "cert.pem")
    (made.places.certs / "privkey.pem").rename(made.places.certs / "key.pem")
    found = ground.certificates_in_force(made.places, made.settings)
    assert [chain for _, chain, _ in found.certificates] == [made.places.certs / "cert.pem"]
    before = found.contents
    (made.places.certs / "key.pem").write_text("garbage")
    found = ground.certificates_in_force(made.places, made.settings)
    assert [chain for _, chain, _ in found.certificates] == [made.places.certs / "cert.pem"]
    assert found.contents == before, "what it was"
    assert "key.pem holds no private key" in found.refused[0][1]


def issued(root: Path, authority: TestAuthority, name: str) -> Path:
    """A pair as certbot keeps it; returns its folder."""
    folder = root / "certs" / "letsencrypt" / "live" / name
    authority.issue(folder, name)
    return folder


def test_a_pair_of_certbot_that_is_bad_is_refused_as_any_other(root: Path) -> None:
    made = situation(root)
    settings = replace(made.settings, tls_flavor="letsencrypt")
    ground.prepare_root(made.places)
    folder = issued(root, TestAuthority.make(), "mail.example.com")
    before = ground.certificates_in_force(made.places, settings)
    (folder / "privkey.pem").write_text("half")
    found = ground.certificates_in_force(made.places, settings)
    assert (found.certificates, found.contents) == (before.certificates, before.contents)
    assert "the certificate before it serves on" in found.refused[0][1]


def test_a_chain_with_its_root_is_served_only_with_the_certificate_that_it_is_of(root: Path) -> None:
    made = situation(root)
    made = replace(made, settings=replace(made.settings, tls_flavor="letsencrypt"))
    ground.prepare_root(made.places)
    authority = TestAuthority.make()
    folder = issued(root, authority, "mail.example.com")
    rooted = chain_with_root(made.places.certs, "mail.example.com")
    rooted.parent.mkdir(parents=True)
    rooted.write_bytes((folder / "fullchain.pem").read_bytes() + TestAuthority.make().pem())
    found, _ = ground.situation_of(made.settings, made.host)
    copies = root / "etc" / "tls" / "letsencrypt_live_mail.example.com_fullchain.pem"
    assert found.request(root / "etc", None).chains_with_root == {copies / "cert.pem": copies / "with-root.pem"}
    assert found.pair_files()[str(copies.relative_to(root / "etc") / "with-root.pem")].text == rooted.read_text()
    issued(root, authority, "mail.example.com")
    found, _ = ground.situation_of(made.settings, made.host)
    assert found.request(root / "etc", None).chains_with_root == {}, "it is of the certificate before"
