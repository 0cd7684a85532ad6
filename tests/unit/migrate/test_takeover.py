"""Whole runs over real roots: what arrives, what a second run does, what stops a run before it changes anything."""

from __future__ import annotations

import sqlite3
import stat
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.unit.migrate import sources
from tests.unit.migrate.conftest import Place, named, outcomes, refusals

from mailu.auth import passwords
from mailu.directory import changes, srs
from mailu.directory.models import Alias, Alternative, Domain, DomainAccess, Fetch, Manager, Relay, Retired, Token, User
from mailu.migrate import others
from mailu.migrate.ownership import owner_of
from mailu.settings import load_settings
from mailu.settings.envfile import read_env_file

ANNA = "anna@example.org"


def content(root: Path) -> dict[str, bytes | str]:
    """Every file below a folder, by path."""
    found: dict[str, bytes | str] = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(root))] = str(path.readlink())
        elif path.is_file():
            found[str(path.relative_to(root))] = path.read_bytes()
    return found


def test_every_line_of_the_settings_is_accounted_for(old: Path, place: Place) -> None:
    report = place.run(old)
    lines = read_env_file(old / "mailu.env").entries
    told = [item.name for item in report.items if item.area == "settings"]
    assert sorted(told) == sorted(lines)


def test_the_new_settings_mean_the_same(old: Path, place: Place) -> None:
    place.run(old)
    before, after = load_settings(old / "mailu.env", {}), load_settings(place.env_file, {})
    for name in ("secret_key", "domain", "hostnames", "postmaster", "message_size_limit", "auth_ratelimit_ip",
                 "webdav", "full_text_search", "tz", "sitename", "fetchmail_delay", "dmarc_rua"):  # fmt: skip
        assert getattr(after, name) == getattr(before, name), name
    assert after.root == place.root
    assert stat.S_IMODE(place.env_file.stat().st_mode) == 0o600


def test_what_overrides_said_is_a_setting_now(old: Path, place: Place) -> None:
    report = place.run(old)
    settings = load_settings(place.env_file, {})
    assert settings.smtp_banner == "ESMTP example"
    assert settings.imap_max_connections == 50
    assert settings.reject_score == 20
    assert [str(each) for each in settings.slow_destinations] == [
        "slow.example.com:polite",
        "slower.example.com:turtle",
    ]
    files = {
        path.relative_to(old / "overrides").as_posix() for path in (old / "overrides").rglob("*") if path.is_file()
    }
    assert {item.name for item in report.items if item.area == "overrides"} == files
    assert (place.root / "overrides/postfix/postfix.cf").read_text() == "smtp_destination_concurrency_limit = 5\n"
    assert not (place.root / "overrides/rspamd/actions.conf").exists()


def test_everybody_is_there(master: Path, place: Place) -> None:
    place.run(master)
    store = place.store()
    with store.read() as session:
        assert set(session.scalars(select(Domain.name))) == {"example.org", "zweite-example.org"}
        assert set(session.scalars(select(Alternative.name))) == {
            "alt-example.org",
            "xn--bcher-example-lsb.org",
        } or set(session.scalars(select(Alternative.name))) == {
            "alt-example.org",
            "bücher-example.org".encode("idna").decode(),
        }
        anna = session.get_one(User, ANNA)
        assert (anna.displayed_name, anna.quota_bytes, anna.spam_threshold) == ("Anna Müller", 2000000000, 60)
        assert anna.reply_body is not None
        assert ".Punkt am Zeilenanfang" in anna.reply_body
        assert passwords.verify(b"Fixture-anna", anna.password)
        assert passwords.verify(b"Fixture-emil", session.get_one(User, "emil@example.org").password)
        bob = session.get_one(User, "bob/with/slash@example.org")
        assert bob.forward_destination == (ANNA, "someone@example.net")
        carl = session.get_one(User, "carl@zweite-example.org")
        assert (carl.enabled, carl.allow_spoofing, carl.enable_pop) == (False, True, False)
        assert session.get_one(Domain, "example.org").max_quota_bytes == 5000000000
        tokens = session.scalars(select(Token).order_by(Token.id)).all()
        assert [(token.id, token.comment, token.ip) for token in tokens] == [
            (1, "phone", ("192.0.2.0/24", "2001:db8::/32")),
            (2, "laptop", ()),
        ]
        fetch = session.scalars(select(Fetch)).one()
        assert fetch.password == "p w:#'\"\\ü"
        assert fetch.folders == ("INBOX", "Junk", "Sent Items")
        assert session.scalars(select(Manager.user_email)).all() == [ANNA]
        assert session.scalars(select(DomainAccess.domain_name)).all() == ["zweite-example.org"]
        shop = session.get_one(Alias, "shop.banana@example.org")
        assert (shop.owner_email, shop.hostname, shop.disabled) == (ANNA, "shop.example", False)
        assert session.get_one(Alias, "old.apple@example.org").disabled
        assert session.get_one(Alias, "%@zweite-example.org").wildcard
        assert {row.name: row.smtp for row in session.scalars(select(Relay))} == {
            "relayed-example.org": "mx:backend.example.net:2525",
            "plain-relay-example.org": "",
        }
    store.close()


def test_what_2024_06_did_not_know_has_its_default(tmp_path: Path, place: Place) -> None:
    place.run(sources.unpack("2024.06", tmp_path))
    store = place.store()
    with store.read() as session:
        assert session.scalars(select(Fetch.invisible)).all() == [False]
        assert not any(session.scalars(select(Domain.anonmail_enabled)))
        assert session.get_one(Alias, "shop.banana@example.org").owner_email is None
    store.close()


def test_the_address_that_was_issued_leads_back(old: Path, place: Place) -> None:
    place.run(old)
    issued = (old / sources.ISSUED).read_text().strip()
    keys = load_settings(place.env_file, {}).srs_keys
    assert srs.reverse(issued, keys, date(2026, 11, 23)) == "alice@example.net"


def test_mail_is_there_to_the_last_byte_and_second(old: Path, place: Place) -> None:
    place.run(old)
    before, after = old / "mail" / ANNA, place.root / "mail" / ANNA
    assert content(after) == content(before)
    for path in before.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert (after / path.relative_to(before)).stat().st_mtime_ns == path.stat().st_mtime_ns


def test_keys_and_certificates_keep_their_names(old: Path, place: Place) -> None:
    place.run(old)
    assert content(place.root / "dkim").keys() == content(old / "dkim").keys()
    assert content(place.root / "certs") == content(old / "certs")


def test_the_source_is_only_read(old: Path, place: Place) -> None:
    before = sources.fingerprint(old)
    place.run(old, dry=True)
    place.run(old)
    place.run(old)
    assert sources.fingerprint(old) == before


def test_a_dry_run_makes_nothing(old: Path, place: Place) -> None:
    report = place.run(old, dry=True)
    assert report.pending
    assert not report.refused
    assert not place.root.exists()


def test_a_second_run_changes_nothing_and_says_so(old: Path, place: Place) -> None:
    place.run(old)
    before = sources.fingerprint(place.root, but="data")  # SQLite's log comes and goes in that folder
    report = place.run(old)
    assert not report.pending
    assert not [item for item in report.items if item.outcome == "copied"]
    assert sources.fingerprint(place.root, but="data") == before


def test_a_second_run_brings_what_has_changed_at_the_source(master: Path, place: Place) -> None:
    place.run(master)
    sources.change(master, "UPDATE user SET displayed_name = 'Anna M.' WHERE email = ?", ANNA)
    sources.change(master, "DELETE FROM alias WHERE email = 'team@example.org'")
    sources.add_user(master, "neu@example.org")
    inbox = master / "mail" / ANNA / "new"
    seen = next(path for path in inbox.iterdir() if ":2," not in path.name)
    seen.rename(inbox.with_name("cur") / f"{seen.name}:2,S")
    next(path for path in inbox.iterdir() if ":2," not in path.name).unlink()
    report = place.run(master)
    assert {"directory", "mail"} <= report.pending
    assert content(place.root / "mail" / ANNA) == content(master / "mail" / ANNA)
    store = place.store()
    with store.read() as session:
        assert session.get_one(User, ANNA).displayed_name == "Anna M."
        assert session.get(Alias, "team@example.org") is None
        assert session.get(User, "neu@example.org") is not None
    store.close()


def test_what_was_changed_here_since_stays(master: Path, place: Place) -> None:
    place.run(master)
    store = place.store()
    with store.session() as session:
        changes.update_user(session, ANNA, actor=changes.SYSTEM, displayed_name="Anna here")
        changes.delete_alias(session, "team@example.org", actor=changes.SYSTEM)
    sources.add_user(master, "neu@example.org")
    text = place.env_file.read_text()
    place.env_file.write_text(text.replace("SITENAME=Example Mail", "SITENAME=Mine"))
    override = place.root / "overrides/postfix/postfix.cf"
    override.write_text("smtp_destination_concurrency_limit = 7\n")
    report = place.run(master)
    with store.read() as session:
        assert session.get_one(User, ANNA).displayed_name == "Anna here"
        assert session.get(User, "neu@example.org") is not None
    store.close()
    assert any("displayed_name" in item.text for item in named(report, f"user {ANNA}"))
    assert load_settings(place.env_file, {}).sitename == "Mine"
    assert "explained" in outcomes(report, "SITENAME")
    assert override.read_text() == "smtp_destination_concurrency_limit = 7\n"
    assert "warning" in outcomes(report, "postfix/postfix.cf")


def test_an_interrupted_run_is_finished_by_the_next(
    master: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("mailu.migrate.directory.Directory.write", lambda _self: (_ for _ in ()).throw(OSError("gone")))
        with pytest.raises(OSError, match="gone"):
            place.run(master)
    assert not place.env_file.exists()
    report = place.run(master)
    assert not report.refused
    assert content(place.root / "mail" / ANNA) == content(master / "mail" / ANNA)
    assert place.env_file.exists()


# Refusals: nothing at all is changed


def assert_refused(place: Place, old: Path, *words: str) -> None:
    said = "\n".join(refusals(place.run(old)))
    for word in words:
        assert word in said
    assert not place.root.exists()


def test_two_addresses_that_are_one_are_both_named(master: Path, place: Place) -> None:
    sources.add_user(master, "Anna@example.org")
    sources.change(master, "UPDATE alias SET email = 'EMIL@example.org' WHERE email = 'team@example.org'")
    assert_refused(place, master, "Anna@example.org", "anna@example.org", "EMIL@example.org")


def test_a_user_without_a_domain_is_refused(master: Path, place: Place) -> None:
    sources.change(master, "DELETE FROM domain WHERE name = 'zweite-example.org'")
    assert_refused(place, master, "carl@zweite-example.org", "there is no domain")


def test_a_newer_schema_is_refused_with_its_revision(old: Path, place: Place) -> None:
    sources.change(old, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    assert_refused(place, old, "ffffffffffff", "newer")


@pytest.mark.parametrize("damage", ["page", "header", "cut"])
def test_a_damaged_database_is_refused(old: Path, place: Place, damage: str) -> None:
    file = old / "data" / "main.db"
    whole = bytearray(file.read_bytes())
    if damage == "page":
        whole[4096 * 3 : 4096 * 9] = b"\xff" * (4096 * 6)
    elif damage == "header":
        whole[:16] = b"no database at all"[:16]
    else:
        whole = whole[: len(whole) // 3]
    file.write_bytes(bytes(whole))
    assert_refused(place, old, "main.db")


def test_a_database_that_is_no_database_of_mailu_is_refused(old: Path, place: Place) -> None:
    file = old / "data" / "main.db"
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE user (email TEXT)")
    connection.close()
    assert_refused(place, old, "not the database of a Mailu")


def test_a_missing_key_is_reported_and_does_not_stop_the_rest(old: Path, place: Place) -> None:
    (old / "dkim" / "zweite-example.org.dkim.key").unlink()
    report = place.run(old)
    assert outcomes(report, "zweite-example.org") == ["warning"]
    assert (place.root / "dkim" / "example.org.dkim.key").exists()


def test_a_key_that_is_none_is_refused(old: Path, place: Place) -> None:
    (old / "dkim" / "example.org.dkim.key").write_text(
        "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n"
    )
    assert_refused(place, old, "example.org.dkim.key")


def test_a_value_that_no_setting_takes_is_refused_with_its_line(old: Path, place: Place) -> None:
    env = old / "mailu.env"
    env.write_text(env.read_text().replace("MESSAGE_SIZE_LIMIT=50000000", "MESSAGE_SIZE_LIMIT=50M"))
    assert_refused(place, old, "MESSAGE_SIZE_LIMIT", "line 17", "50MiB")


def test_a_root_that_is_somebody_elses_is_refused(old: Path, place: Place) -> None:
    place.root.mkdir()
    (place.root / "data").mkdir()
    store = place.store()
    store.upgrade()
    with store.session() as session:
        changes.create_domain(session, "other.example", actor=changes.SYSTEM)
    store.close()
    for path in (place.root / "data", place.root / "data" / "main.db"):
        owner_of("mailu").give(path)
    assert "domain other.example" in "\n".join(refusals(place.run(old)))
    assert not place.env_file.exists()


def test_a_database_here_that_does_not_answer_is_refused(old: Path, place: Place) -> None:
    (place.root / "data").mkdir(parents=True)
    (place.root / "data" / "main.db").write_text("this is none, and never was one, whatever its name may say\n" * 40)
    assert any("does not answer" in text for text in refusals(place.run(old)))
    assert not place.env_file.exists()


def test_a_database_here_with_an_older_schema_is_brought_up_to_date_first(old: Path, place: Place) -> None:
    place.run(old)
    store = place.store()
    store.downgrade("0001")
    store.close()
    assert "mailu db upgrade" in "\n".join(refusals(place.run(old)))


def test_mail_that_is_here_already_is_not_mixed(old: Path, place: Place) -> None:
    (place.root / "mail" / ANNA / "cur").mkdir(parents=True)
    (place.root / "mail" / ANNA / "cur" / "1.M1.here").write_text("mine")
    assert f"{ANNA}: " in "\n".join(refusals(place.run(old)))


def test_the_source_is_not_its_own_target(old: Path) -> None:
    before = sources.fingerprint(old)
    assert "choose another one" in "\n".join(refusals(Place(old).run(old)))
    assert sources.fingerprint(old) == before


def test_one_root_takes_over_from_one_source(tmp_path: Path, place: Place) -> None:
    place.run(sources.unpack("master", tmp_path))
    other = sources.unpack("2024.06", tmp_path)
    env = other / "mailu.env"
    env.write_text(env.read_text().replace("FIXTURE0FIXTURE0", "ANOTHER0FIXTURE0"))
    assert "one source" in "\n".join(refusals(place.run(other)))


def test_a_source_may_have_been_moved(old: Path, place: Place) -> None:
    place.run(old)
    moved = old.rename(old.with_name("elsewhere"))
    report = place.run(moved)
    assert not report.refused
    assert not report.pending


def test_a_full_disk_is_told_before(old: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    full = type("usage", (), {"free": 1000})
    monkeypatch.setattr("mailu.migrate.takeover.shutil.disk_usage", lambda _path: full)
    assert_refused(place, old, "GB are free")


# What is left behind, or needs a look


def test_mail_without_an_account_is_given_to_nobody(old: Path, place: Place) -> None:
    (old / "mail" / "gone@example.org" / "cur").mkdir(parents=True)
    (old / "mail" / "gone@example.org" / "cur" / "1.M1.vm:2,S").write_text("Subject: old\n\n")
    (old / "mail" / "backup").mkdir()
    (old / "mail" / "backup" / "cur").mkdir()
    report = place.run(old)
    assert "explained" in outcomes(report, "gone@example.org")
    assert outcomes(report, "backup") == ["explained"]
    store = place.store()
    with store.session() as session:
        assert session.scalars(select(Retired.home)).all() == ["gone@example.org"]
        user = changes.create_user(session, "gone@example.org", password_hash="-", actor=changes.SYSTEM)
        assert user.home == "gone@example.org~2"
    store.close()
    assert (place.root / "mail/gone@example.org/cur/1.M1.vm:2,S").exists()


def test_mail_without_an_account_can_be_had_back(old: Path, place: Place) -> None:
    (old / "mail" / "gone@example.org" / "cur").mkdir(parents=True)
    (old / "mail" / "gone@example.org" / "cur" / "1.M1.vm:2,S").write_text("Subject: old\n\n")
    place.run(old)
    store = place.store()
    with store.session() as session:
        assert changes.restore_user(session, "gone@example.org", actor=changes.SYSTEM).home == "gone@example.org"
    store.close()


def test_calendars_webmail_and_what_the_filter_learnt_come_along(
    old: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(others, "newest_dump_format", lambda: 10)
    (old / "dav/collection-root" / ANNA / "calendar").mkdir(parents=True)
    (old / "dav/collection-root" / ANNA / "calendar" / "a.ics").write_text("BEGIN:VCALENDAR\n")
    (old / "webmail/roundcube.db").write_bytes(b"SQLite format 3\0")
    (old / "webmail/gpg").mkdir()
    (old / "webmail/gpg/pubring.kbx").write_bytes(b"keys")
    (old / "webmail/_data_").mkdir()
    (old / "redis/dump.rdb").write_bytes(b"REDIS0010 and so on")
    (old / "filter/rspamd_dynamic").write_text("[]")
    (old / "filter/compiled.hs").write_bytes(b"x")
    (old / "data/fetchmail").mkdir()
    (old / "data/fetchmail/fetchids").write_text("id\n")
    report = place.run(old)
    calendar = "dav/collection-root/anna@example.org/calendar/a.ics"
    for path in (calendar, "webmail/roundcube.db", "webmail/gpg/pubring.kbx", "redis/dump.rdb",
                 "filter/rspamd_dynamic", "data/fetchmail/fetchids"):  # fmt: skip
        assert (place.root / path).read_bytes() == (old / path).read_bytes(), path
    assert not (place.root / "filter/compiled.hs").exists()
    assert outcomes(report, "_data_") == ["explained"]
    assert not place.run(old).pending


def test_a_dump_that_is_too_new_is_explained(old: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "newest_dump_format", lambda: 10)
    (old / "redis/dump.rdb").write_bytes(b"REDIS0012 and so on")
    report = place.run(old)
    assert outcomes(report, "redis/dump.rdb") == ["explained"]
    assert not (place.root / "redis/dump.rdb").exists()
