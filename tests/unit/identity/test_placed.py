"""Pairs that somebody else puts into certs/: files, links, folders; and the last good one, which serves on."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
from tests.pki import write_pair

from mailu.identity.certificates import inspect_pair
from mailu.identity.placed import KEPT_FOLDER, chain_for, placed_pairs, with_last_good

MAIL, IMAP = "mail.example.org", "imap.example.org"


def _put(folder: Path, name: str, chain: str, key: str) -> None:
    write_pair(folder, name)
    (folder / "fullchain.pem").rename(folder / chain)
    (folder / "privkey.pem").rename(folder / key)


def _found(certs: Path, chain: str = "cert.pem", key: str = "key.pem") -> list[str]:
    return [str(pair.chain.relative_to(certs)) for pair in placed_pairs(certs, chain, key)]


@pytest.mark.parametrize(
    ("chain", "key"),
    [
        ("fullchain.pem", "privkey.pem"), ("cert.pem", "key.pem"), ("tls.crt", "tls.key"),
        (f"{MAIL}.crt", f"{MAIL}.key"),
    ],
)  # fmt: skip
def test_a_folder_with_a_pair_is_found_under_the_usual_names(tmp_path: Path, chain: str, key: str) -> None:
    _put(tmp_path / MAIL, MAIL, chain, key)
    assert _found(tmp_path) == [f"{MAIL}/{chain}"]


def test_a_linked_tree_of_certbot_is_found_and_the_named_pair_comes_first(tmp_path: Path) -> None:
    outside, certs = tmp_path / "etc", tmp_path / "certs"
    write_pair(outside / "archive" / MAIL, MAIL)
    live = outside / "live" / MAIL
    live.mkdir(parents=True)
    for name in ("fullchain.pem", "privkey.pem"):
        (live / name).symlink_to(f"../../archive/{MAIL}/{name}")
    certs.mkdir()
    (certs / "live").symlink_to(outside / "live")
    _put(certs, IMAP, "cert.pem", "key.pem")
    assert _found(certs) == ["cert.pem", f"live/{MAIL}/fullchain.pem"]
    pairs = placed_pairs(certs, "cert.pem", "key.pem")
    assert [
        problem for pair in pairs for problem in inspect_pair(pair.chain, pair.key) if "cannot" in problem.text
    ] == []
    assert chain_for(pairs, MAIL) == pairs[1].chain


def test_the_named_file_may_be_a_folder(tmp_path: Path) -> None:
    write_pair(tmp_path / "ours", MAIL)
    assert _found(tmp_path, "ours") == ["ours/fullchain.pem"]


def test_what_an_earlier_flavour_left_and_what_is_ours_is_passed_over(tmp_path: Path) -> None:
    for folder in ("letsencrypt/live", "self-signed", f"{KEPT_FOLDER}/cert.pem", ".hidden"):
        write_pair(tmp_path / folder / MAIL, MAIL)
    assert _found(tmp_path) == []


@pytest.mark.parametrize("harm", ["garbage", "other key", "no key", "dangling"])
def test_a_pair_that_turns_bad_is_refused_with_the_reason_and_the_one_before_serves(tmp_path: Path, harm: str) -> None:
    _put(tmp_path, MAIL, "cert.pem", "key.pem")
    good = (tmp_path / "cert.pem").read_bytes()
    assert with_last_good(tmp_path, placed_pairs(tmp_path, "cert.pem", "key.pem"))[1] == []
    if harm == "garbage":
        (tmp_path / "cert.pem").write_text("not a certificate")
    elif harm == "other key":
        _put(tmp_path / "x", MAIL, "cert.pem", "key.pem")
        (tmp_path / "x" / "key.pem").replace(tmp_path / "key.pem")
    elif harm == "no key":
        (tmp_path / "key.pem").unlink()
    else:
        for name in ("cert.pem", "key.pem"):
            (tmp_path / name).unlink()
            (tmp_path / name).symlink_to("/nonexistent/" + name)
    shutil.rmtree(tmp_path / "x", ignore_errors=True)
    pairs, troubles = with_last_good(tmp_path, placed_pairs(tmp_path, "cert.pem", "key.pem"))
    assert pairs[0].chain.read_bytes() == good
    assert [p for p in inspect_pair(pairs[0].chain, pairs[0].key) if p.severity == "unusable"] == []
    assert len(troubles) == 1
    assert str(tmp_path) in troubles[0]
    assert "the certificate before it serves on" in troubles[0]
    assert stat.S_IMODE(pairs[0].key.stat().st_mode) == 0o600
    _put(tmp_path / "new", MAIL, "cert.pem", "key.pem")
    for name in ("cert.pem", "key.pem"):
        (tmp_path / "new" / name).replace(tmp_path / name)
    (tmp_path / "new").rmdir()
    pairs, troubles = with_last_good(tmp_path, placed_pairs(tmp_path, "cert.pem", "key.pem"))
    assert ([pair.chain for pair in pairs], troubles) == ([tmp_path / "cert.pem"], [])


def test_a_pair_that_was_taken_away_is_forgotten_with_its_key(tmp_path: Path) -> None:
    _put(tmp_path, MAIL, "cert.pem", "key.pem")
    with_last_good(tmp_path, placed_pairs(tmp_path, "cert.pem", "key.pem"))
    assert list((tmp_path / KEPT_FOLDER).iterdir())
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).unlink()
    assert with_last_good(tmp_path, placed_pairs(tmp_path, "cert.pem", "key.pem")) == ([], [])
    assert list((tmp_path / KEPT_FOLDER).iterdir()) == []
