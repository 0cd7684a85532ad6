"""Which folders are whose, what of a Maildir is taken, and what happens to a mailbox that lives on."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailu.migrate import mailboxes, maildirs
from mailu.migrate.mailboxes import Home, find_homes
from mailu.migrate.ownership import NOBODY_ELSE
from mailu.migrate.record import Record
from mailu.migrate.report import Report


def make_home(folder: Path, name: str, *messages: str) -> Path:
    home = folder / name
    for kind in ("cur", "new", "tmp"):
        (home / kind).mkdir(parents=True, exist_ok=True)
    for message in messages:
        (home / message).parent.mkdir(parents=True, exist_ok=True)
        (home / message).write_text(f"Subject: {message}\n\n")
    return home


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("cur/1.M1.vm:2,S", False),
        ("dovecot-uidlist", False),
        ("dovecot-keywords", False),
        ("subscriptions", False),
        ("dovecot.index.log", False),
        (".Sent/dovecot.index.cache", False),
        ("sieve/filters.sieve", False),
        (".dovecot.sieve", False),
        ("sieve/filters.svbin", True),
        ("tmp/1.M1.vm", True),
        (".Sent/tmp/1.M1.vm", True),
        ("dovecot-uidlist.lock", True),
        ("dovecot.index.tmp", True),
        ("xapian-indexes/db/x", True),
        (".Sent/fts-flatcurve/index.1/x", True),
    ],
)
def test_what_is_taken_of_a_maildir(path: str, left: bool) -> None:
    assert maildirs.is_left(path) is left


def test_messages_are_known_by_folder_and_unique_name() -> None:
    paths = ["cur/1.vm:2,S", ".A.B/new/2.vm", "sieve/cur", "dovecot-uidlist", "x/cur/3.vm"]
    assert maildirs.messages(iter(paths)) == {("", "1.vm"): "cur/1.vm:2,S", (".A.B", "2.vm"): ".A.B/new/2.vm"}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("new/1.vm", "new/1.vm"),
        ("cur/1.vm:2,", "new/1.vm"),
        ("cur/1.vm:2,FSa", "cur/1.vm:2,FS"),
        ("cur/1.vm:2,ab", "new/1.vm"),
    ],
)
def test_keywords_do_not_travel_into_a_folder_with_its_own(path: str, name: str) -> None:
    assert maildirs.name_for_another(path) == name


@pytest.mark.parametrize(
    ("path", "target", "wanted"),
    [
        (".dovecot.sieve", "sieve/a.sieve", "sieve/a.sieve"),
        (".dovecot.sieve", "/mail/ann@example.org/sieve/a.sieve", "sieve/a.sieve"),
        ("deep/link", "/srv/mailu/mail/ann@example.org/sieve/a.sieve", "../sieve/a.sieve"),
        (".dovecot.sieve", "../other@example.org/sieve/a.sieve", None),
        (".dovecot.sieve", "/etc/passwd", None),
        (".dovecot.sieve", "/mail/other@example.org/sieve/a.sieve", None),
        ("deep/link", "../../x", None),
        (".dovecot.sieve", "/mail/ann@example.org/../bob@example.org/x", None),
    ],
)
def test_links_stay_inside_the_mailbox(path: str, target: str, wanted: str | None) -> None:
    assert maildirs.contained_link("ann@example.org", path, target) == wanted


def test_every_account_finds_its_folder(tmp_path: Path) -> None:
    for name in ("ann@example.org", "Bob@example.org", "c/d/e@example.org", "x@bücher.example", "gone@example.org"):
        make_home(tmp_path, name)
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "a-file").write_text("x")
    spelled = {
        "ann@example.org": "ann@example.org",
        "bob@example.org": "Bob@example.org",
        "c/d/e@example.org": "c/d/e@example.org",
        "x@xn--bcher-kva.example": "x@xn--bcher-kva.example",
        "none@example.org": "none@example.org",
    }
    report = Report()
    assert find_homes(tmp_path, spelled, report) == [
        Home("ann@example.org", "ann@example.org", has_account=True),
        Home("bob@example.org", "Bob@example.org", has_account=True),
        Home("c/d/e@example.org", "c/d/e@example.org", has_account=True),
        Home("x@xn--bcher-kva.example", "x@bücher.example", has_account=True),
        Home("gone@example.org", "gone@example.org", has_account=False),
    ]
    assert not report.items


def test_two_folders_of_one_account_are_not_mixed(tmp_path: Path) -> None:
    make_home(tmp_path, "ann@example.org")
    make_home(tmp_path, "Ann@example.org")
    homes = find_homes(tmp_path, {"ann@example.org": "Ann@example.org"}, Report())
    assert [(home.folder, home.has_account) for home in homes] == [
        ("ann@example.org", True),
        ("Ann@example.org", False),
    ]


def test_an_orphan_below_folders_is_found(tmp_path: Path) -> None:
    make_home(tmp_path, "a/b@example.org")
    assert find_homes(tmp_path, {}, Report()) == [Home("a/b@example.org", "a/b@example.org", has_account=False)]


def taken(source: Path, target: Path, record: Record) -> Report:
    report = Report()
    homes = find_homes(source, {"ann@example.org": "ann@example.org"}, report)
    mail = mailboxes.look_at_mail(source, target, homes, NOBODY_ELSE, record, report)
    mailboxes.take_mail(mail, record, report)
    return report


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "migration", source="somewhere")


def test_a_mailbox_that_is_used_here_only_gets_what_is_new(tmp_path: Path, record: Record) -> None:
    source, target = tmp_path / "old", tmp_path / "new"
    make_home(source, "ann@example.org", "cur/1.vm:2,S", "cur/2.vm:2,", ".Sent/cur/3.vm:2,S")
    taken(source, target, record)
    home = target / "ann@example.org"
    (home / "cur/1.vm:2,S").rename(home / "cur/1.vm:2,FS")
    (home / "cur/2.vm:2,").unlink()
    (home / "new/9.here").write_text("arrived here")
    make_home(source, "ann@example.org", "cur/4.vm:2,Sa", ".New.Folder/new/5.vm")
    report = taken(source, target, record)
    assert report.pending == {"mail"}
    found = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert found == {"cur/1.vm:2,FS", "new/9.here", ".Sent/cur/3.vm:2,S", "cur/4.vm:2,S", ".New.Folder/new/5.vm"}


def test_late_mail_that_was_deleted_here_does_not_come_back(tmp_path: Path, record: Record) -> None:
    source, target = tmp_path / "old", tmp_path / "new"
    make_home(source, "ann@example.org", "cur/1.vm:2,S")
    taken(source, target, record)
    make_home(target, "ann@example.org", "new/9.here")
    make_home(source, "ann@example.org", "new/2.vm")
    taken(source, target, record)
    (target / "ann@example.org/new/2.vm").unlink()
    assert not taken(source, target, record).pending
    assert not (target / "ann@example.org/new/2.vm").exists()


def test_a_login_that_only_touched_indexes_is_no_use(tmp_path: Path, record: Record) -> None:
    source, target = tmp_path / "old", tmp_path / "new"
    make_home(source, "ann@example.org", "cur/1.vm:2,")
    (source / "ann@example.org/dovecot.index.log").write_text("old")
    taken(source, target, record)
    (target / "ann@example.org/dovecot.index.log").write_text("written by a log-in")
    (source / "ann@example.org/cur/1.vm:2,").rename(source / "ann@example.org/cur/1.vm:2,S")
    taken(source, target, record)
    assert [path.name for path in (target / "ann@example.org/cur").iterdir()] == ["1.vm:2,S"]


def test_a_link_that_leads_out_is_not_taken(tmp_path: Path, record: Record) -> None:
    source, target = tmp_path / "old", tmp_path / "new"
    home = make_home(source, "ann@example.org")
    (home / ".dovecot.sieve").symlink_to("/mail/ann@example.org/sieve/a.sieve")
    (home / "evil").symlink_to("/etc/shadow")
    report = taken(source, target, record)
    assert str((target / "ann@example.org/.dovecot.sieve").readlink()) == "sieve/a.sieve"
    assert not (target / "ann@example.org/evil").is_symlink()
    assert [item.name for item in report.items if item.outcome == "warning"] == ["ann@example.org/evil"]
    assert not taken(source, target, record).pending
