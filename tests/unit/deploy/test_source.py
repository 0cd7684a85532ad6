"""Where settings come from, how changes are seen, and what a trial is made of."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mailu.deploy.situation import UnreadableOverride, read_overrides
from mailu.deploy.source import Source, default_file, find_source, tree_signature
from mailu.deploy.trial import make_trial


def test_the_file_of_the_root_is_used_when_none_is_named(tmp_path: Path) -> None:
    environ = {"ROOT": str(tmp_path)}
    assert default_file({}) == Path("/mailu/mailu.env")
    assert find_source(None, environ).file is None
    (tmp_path / "mailu.env").write_text("")
    assert find_source(None, environ).file == tmp_path / "mailu.env"


def test_a_file_that_is_named_is_used_even_when_it_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_source(Path("my.env"), {}).file == tmp_path / "my.env"


def test_a_replaced_file_is_seen_as_changed_and_so_is_a_secret_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("one")
    file = tmp_path / "mailu.env"
    file.write_text(f"SECRET_KEY_FILE={secret}\n")
    source = Source(file, {})
    first = source.signature()
    assert source.signature() == first
    secret.write_text("three")
    second = source.signature()
    assert second != first
    file.rename(tmp_path / "old")
    third = source.signature()
    file.write_text(f"SECRET_KEY_FILE={secret}\n")
    assert len({first, second, third, source.signature()}) == 4
    assert Source(None, {}).signature() == ()


def test_anything_below_a_folder_is_seen(tmp_path: Path) -> None:
    seen = {tree_signature(tmp_path)}
    (tmp_path / "postfix").mkdir()
    seen.add(tree_signature(tmp_path))
    (tmp_path / "postfix" / "postfix.cf").write_text("one")
    seen.add(tree_signature(tmp_path))
    (tmp_path / "postfix" / "postfix.cf").write_text("three")
    seen.add(tree_signature(tmp_path))
    assert len(seen) == 4
    assert tree_signature(tmp_path) in seen


def test_a_link_is_followed_as_certbot_and_kubernetes_swap_them(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "live" / "cert.pem"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "one")
    before = tree_signature(link.parent)
    link.unlink()
    link.symlink_to(tmp_path / "two")
    assert tree_signature(link.parent) != before


def test_overrides_are_read_without_what_editors_leave(tmp_path: Path) -> None:
    (tmp_path / "local.d").mkdir()
    (tmp_path / "local.d" / "a.conf").write_text("a")
    for name in (".hidden", "a.conf~", "a.bak", "a.swp"):
        (tmp_path / name).write_text("no")
    assert read_overrides(tmp_path) == {"local.d/a.conf": "a"}
    assert read_overrides(tmp_path / "absent") == {}


def test_an_override_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_bytes(b"\xff\xfe")
    with pytest.raises(UnreadableOverride, match=r"a\.conf is not UTF-8 text"):
        read_overrides(tmp_path)
    (tmp_path / "a.conf").write_bytes(b"a = b\n" + bytes(400))
    with pytest.raises(UnreadableOverride, match=r"a\.conf holds NUL bytes"):
        read_overrides(tmp_path)
    (tmp_path / "a.conf").write_bytes(b"x" * (1024 * 1024 + 1))
    with pytest.raises(UnreadableOverride, match=r"a\.conf is larger than"):
        read_overrides(tmp_path)


def test_a_trial_is_for_this_machine_only_and_loads(tmp_path: Path) -> None:
    trial = make_trial({"ROOT": str(tmp_path / "root")})
    assert stat.S_IMODE(trial.file.stat().st_mode) == 0o600
    settings = Source(trial.file, {}).load()
    assert settings.bind_addresses == ("127.0.0.1",)
    assert (settings.domain, settings.hostname) == ("mailu.test", "mail.mailu.test")
    assert settings.root == tmp_path / "root"
    assert f"{settings.initial_admin_account}@{settings.initial_admin_domain}" == trial.login
    assert settings.initial_admin_pw == trial.password
    assert len(trial.password) >= 16


def test_an_address_that_was_given_is_kept(tmp_path: Path) -> None:
    trial = make_trial({"ROOT": str(tmp_path), "BIND_ADDRESS4": "127.0.0.9"})
    assert Source(trial.file, {}).load().bind_addresses == ("127.0.0.9",)


def test_a_trial_never_overwrites_settings(tmp_path: Path) -> None:
    make_trial({"ROOT": str(tmp_path)})
    with pytest.raises(FileExistsError):
        make_trial({"ROOT": str(tmp_path)})


def test_two_trials_have_different_secrets(tmp_path: Path) -> None:
    one, two = (make_trial({"ROOT": str(tmp_path / name)}) for name in ("one", "two"))
    assert one.password != two.password
    assert Source(one.file, {}).load().secret_key != Source(two.file, {}).load().secret_key
