"""Pairs that somebody else puts into certs/: files, links, folders; and the last good one, which serves on."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
from tests.pki import TestAuthority, write_pair

from mailu.identity.certificates import Candidate, inspect_pair
from mailu.identity.pairs import Pair, copy_name
from mailu.identity.placed import (
    KEPT_FOLDER,
    chain_for,
    chains_in_force,
    kept_chains,
    placed_pairs,
    with_last_good,
)

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
    assert chain_for([pair.chain for pair in pairs], MAIL) == pairs[1].chain


def test_the_named_file_may_be_a_folder(tmp_path: Path) -> None:
    write_pair(tmp_path / "ours", MAIL)
    assert _found(tmp_path, "ours") == ["ours/fullchain.pem"]


def test_what_an_earlier_flavour_left_and_what_is_ours_is_passed_over(tmp_path: Path) -> None:
    for folder in ("letsencrypt/live", "self-signed", f"{KEPT_FOLDER}/cert.pem", ".hidden"):
        write_pair(tmp_path / folder / MAIL, MAIL)
    assert _found(tmp_path) == []


def _good(certs: Path) -> tuple[list[Candidate], list[str]]:
    """What is served of the files that the settings name, and what is said."""
    return with_last_good(certs, placed_pairs(certs, "cert.pem", "key.pem"))


@pytest.mark.parametrize("harm", ["garbage", "other key", "no key", "dangling", "half a chain", "half a key"])
def test_a_pair_that_turns_bad_is_refused_with_the_reason_and_the_one_before_serves(tmp_path: Path, harm: str) -> None:
    _put(tmp_path, MAIL, "cert.pem", "key.pem")
    good, said = _good(tmp_path)
    assert said == []
    if harm == "garbage":
        (tmp_path / "cert.pem").write_text("not a certificate")
    elif harm == "other key":
        _put(tmp_path / "x", MAIL, "cert.pem", "key.pem")
        (tmp_path / "x" / "key.pem").replace(tmp_path / "key.pem")
    elif harm == "no key":
        (tmp_path / "key.pem").unlink()
    elif harm == "dangling":
        for name in ("cert.pem", "key.pem"):
            (tmp_path / name).unlink()
            (tmp_path / name).symlink_to("/nonexistent/" + name)
    else:
        file = tmp_path / {"half a chain": "cert.pem", "half a key": "key.pem"}[harm]
        file.write_bytes(file.read_bytes()[:100])
    shutil.rmtree(tmp_path / "x", ignore_errors=True)
    served, troubles = _good(tmp_path)
    assert served == good, "the pair's name and what it was"
    assert len(troubles) == 1
    assert str(tmp_path) in troubles[0]
    assert "the certificate before it serves on" in troubles[0]
    _put(tmp_path / "new", MAIL, "cert.pem", "key.pem")
    for name in ("cert.pem", "key.pem"):
        (tmp_path / "new" / name).replace(tmp_path / name)
    (tmp_path / "new").rmdir()
    served, troubles = _good(tmp_path)
    assert (served[0].content.chain, troubles) == ((tmp_path / "cert.pem").read_bytes(), [])


def test_the_copy_shows_its_certificates_to_everybody_and_its_key_to_nobody(tmp_path: Path) -> None:
    _put(tmp_path, MAIL, "cert.pem", "key.pem")
    good = _good(tmp_path)[0][0].content
    (tmp_path / "cert.pem").write_text("garbage")
    chains = chains_in_force(tmp_path, placed_pairs(tmp_path, "cert.pem", "key.pem"))
    assert [chain.read_bytes() for chain in chains] == [good.chain]
    assert kept_chains(tmp_path) == chains
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / KEPT_FOLDER / "cert.pem").iterdir()}
    assert modes == {"cert.pem": 0o644, "pair.pem": 0o600}


def test_a_chain_that_ends_after_its_first_certificate_waits_for_the_rest(tmp_path: Path) -> None:
    """It may be half written, and looks complete."""
    authority, files = TestAuthority.make(), ("cert.pem", "key.pem")
    authority.issue(tmp_path, MAIL, files=files)
    before = _good(tmp_path)[0]
    authority.issue(tmp_path, MAIL, files=files)
    whole = (tmp_path / "cert.pem").read_bytes()
    (tmp_path / "cert.pem").write_bytes(whole.removesuffix(authority.pem()))
    assert _good(tmp_path) == (
        before,
        [
            f"{tmp_path}/cert.pem holds no intermediate certificate, which the one before it has; "
            "the certificate before it serves on"
        ],
    )
    (tmp_path / "cert.pem").write_bytes(whole)
    assert _good(tmp_path)[0][0].content.chain == whole
    authority.issue(tmp_path, MAIL, files=files, days=0.03)
    _good(tmp_path)
    authority.issue(tmp_path, MAIL, files=files)
    (tmp_path / "cert.pem").write_bytes((tmp_path / "cert.pem").read_bytes().removesuffix(authority.pem()))
    assert len(_good(tmp_path)[0][0].certificates) == 1, "better than one that has ended"


def test_a_pair_that_never_was_good_is_named_while_others_serve(tmp_path: Path) -> None:
    write_pair(tmp_path / "one", MAIL)
    write_pair(tmp_path / "two", IMAP)
    (tmp_path / "two" / "privkey.pem").write_text("garbage")
    troubles = _good(tmp_path)[1]
    assert len(troubles) == 1
    assert troubles[0].startswith(f"{tmp_path}/two/privkey.pem holds no private key")
    assert troubles[0].endswith("; it is not served")


def test_a_pair_that_was_taken_away_is_forgotten_with_its_key(tmp_path: Path) -> None:
    _put(tmp_path, MAIL, "cert.pem", "key.pem")
    _good(tmp_path)
    assert list((tmp_path / KEPT_FOLDER).iterdir())
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).unlink()
    assert _good(tmp_path) == ([], [])
    assert list((tmp_path / KEPT_FOLDER).iterdir()) == []


def test_a_copy_has_a_name_that_fits_into_any_configuration(tmp_path: Path) -> None:
    pairs = [Pair(tmp_path / name / "cert.pem", tmp_path / "key.pem") for name in (MAIL, "my pair", "a_b", "a,b")]
    names = [copy_name(tmp_path, pair) for pair in pairs]
    assert names[0] == f"{MAIL}_cert.pem"
    assert len(set(names)) == len(names)
    assert all(name.replace(".", "").replace("_", "").isalnum() for name in names)
