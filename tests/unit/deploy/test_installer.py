"""Installing: what is in the way is named before anything changes, and nothing of the distribution is left running."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
from tests.unit.deploy.fake_room import situation

from mailu.deploy import installer, machine
from mailu.deploy.installer import CannotInstall, install, refuse_foreign_mail_server, require_root
from mailu.deploy.leftovers import ProcessFacts
from mailu.deploy.packages import PACKAGES, Package, missing_packages

SETTINGS = situation(Path("/mailu")).settings


def process(pid: int, name: str) -> ProcessFacts:
    return ProcessFacts(pid, name, "S", 1, pid, pid, 100)


def test_only_root_installs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CannotInstall, match="run it as root"):
        require_root()


@pytest.mark.parametrize(
    ("program", "arguments", "product"),
    [
        ("/usr/sbin/exim4", ["/usr/sbin/exim4", "-bd"], "Exim"),
        ("/usr/sbin/opensmtpd", ["opensmtpd: control"], "OpenSMTPD"),
        ("/usr/lib/postfix/sbin/master", ["/usr/lib/postfix/sbin/master", "-w"], "Postfix"),
        ("/usr/lib/postfix/sbin/master", ["master", "-c", "/etc/postfix"], "Postfix"),
        ("/usr/lib/postfix/sbin/master", ["master", "-c", "/mailu/run/smtp/etc", "-s"], None),
        ("/usr/lib/postfix/sbin/smtpd", ["smtpd", "-n", "smtp"], None),
        ("/usr/sbin/dovecot", ["/usr/sbin/dovecot", "-F"], "Dovecot"),
        ("/usr/sbin/dovecot", ["/usr/sbin/dovecot", "-F", "-c", "/mailu/run/imap/etc/dovecot.conf"], None),
        ("/usr/bin/python3.11", ["python3", "-m", "master"], None),
        ("/usr/sbin/nginx", ["nginx"], None),
    ],
)
def test_mail_servers_that_are_not_ours_are_told_from_ours(
    program: str, arguments: list[str], product: str | None
) -> None:
    found = installer.MAIL_SERVERS.get(Path(program).name) or installer._distribution_daemon(Path(program), arguments)
    assert found == product


def test_a_foreign_mail_server_is_named_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installer, "all_processes", lambda: [process(1, "init"), process(612, "exim4")])
    monkeypatch.setattr(installer, "_mail_server", {1: None, 612: "Exim"}.get)
    with pytest.raises(
        CannotInstall, match=r"Exim already runs on this machine \(exim4, pid 612\); stop and remove it"
    ):
        refuse_foreign_mail_server()


def test_nothing_is_installed_where_a_foreign_mail_server_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []
    monkeypatch.setattr(installer, "missing_packages", lambda *_, **__: [PACKAGES[0]])
    monkeypatch.setattr(installer, "_mail_server", lambda pid: "Exim")
    monkeypatch.setattr(installer, "install_packages", lambda *_, **__: installed.append("apt"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(CannotInstall, match="Exim"):
        install(SETTINGS, told=lambda _: None)
    assert installed == []


def test_a_package_is_missing_when_its_proof_is(tmp_path: Path) -> None:
    package = Package("postfix", "/usr/sbin/postfix")
    assert not package.installed(tmp_path)
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/postfix").touch()
    assert package.installed(tmp_path)


@pytest.mark.parametrize(
    ("release", "search", "package"),
    [(12, "en", "dovecot-fts-xapian"), (13, "en", "dovecot-flatcurve"), (12, "off", None), (13, "off", None)],
)
def test_what_is_needed_follows_from_settings_and_release(
    tmp_path: Path, release: int, search: str, package: str | None
) -> None:
    settings = situation(Path("/mailu"), FULL_TEXT_SEARCH=search).settings
    names = {item.name for item in missing_packages(settings, release, root=tmp_path)}
    assert names & {"dovecot-fts-xapian", "dovecot-flatcurve"} == ({package} if package else set())
    assert {"postfix", "dovecot-core", "rspamd", "nginx", "redis-server", "unbound"} <= names
    assert "chromium" not in names
    assert "chromium" in {item.name for item in missing_packages(settings, release, tests=True, root=tmp_path)}


def test_services_are_forbidden_to_start_only_while_installing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(installer, "POLICY", policy)
    with installer._no_services_start():
        assert policy.read_text().endswith("exit 101\n")
        assert stat.S_IMODE(policy.stat().st_mode) == 0o755
    assert not policy.exists()
    with pytest.raises(RuntimeError), installer._no_services_start():
        raise RuntimeError
    assert not policy.exists()


def test_a_policy_of_the_operator_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("theirs")
    monkeypatch.setattr(installer, "POLICY", policy)
    with installer._no_services_start():
        assert policy.read_text() == "theirs"
    assert policy.read_text() == "theirs"


@pytest.mark.parametrize("systemd", [True, False])
def test_services_of_new_packages_are_switched_off_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, systemd: bool
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(installer, "PENDING", tmp_path / "lib" / "pending")

    def text_of(command: list[str]) -> tuple[int, str]:
        ran.append(command)
        return 0, ""

    monkeypatch.setattr(machine, "text_of", text_of)
    monkeypatch.setattr(machine, "runs_systemd", lambda: systemd)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    installer._keep_for_later(iter(["no-such-unit-1.service"]))
    installer._keep_for_later(iter(["no-such-unit-1.service", "no-such-unit-2.service"]))
    installer.disable_units()
    now = ["--now"] if systemd else []
    assert ran == [
        ["systemctl", "disable", *now, "no-such-unit-1.service"],
        ["systemctl", "disable", *now, "no-such-unit-2.service"],
    ]
    assert not installer.PENDING.exists()


def test_apts_progress_is_told_every_tenth() -> None:
    lines = [
        "dlstatus:1:3.5:Retrieving file 1 of 17",
        "dlstatus:1:12.0:Retrieving",
        "dlstatus:1:14.0:Retrieving",
        "pmstatus:postfix:35.0:Unpacking postfix",
        "pmerror:postfix:40.0:oops",
        "garbage",
        "pmstatus:postfix:100.0:Installed",
    ]
    assert list(installer._tenths(lines)) == ["downloaded 10 %", "installed 30 %", "installed 100 %"]


def test_the_reason_of_a_failed_installation_is_apts() -> None:
    said = "Reading package lists...\nE: Unable to locate package postfix-lmdb\n"
    assert installer._reason(said) == "E: Unable to locate package postfix-lmdb"
    assert installer._reason("") == "no reason was given"


def test_accounts_that_are_there_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(installer, "ACCOUNTS", ("root", "no-such-account"))
    monkeypatch.setattr(installer, "_must", ran.append)
    installer.ensure_accounts()
    assert [command[:2] for command in ran] == [["groupadd", "--system"], ["useradd", "--system"]]
    assert all(command[-1] == "no-such-account" for command in ran)


def test_the_inotify_limit_is_raised_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, kept = tmp_path / "max_user_instances", tmp_path / "sysctl.d" / "60-mailu.conf"
    monkeypatch.setattr(installer, "INOTIFY", limit)
    monkeypatch.setattr(installer, "SYSCTL_FILE", kept)
    limit.write_text("128\n")
    assert installer.raise_inotify_limit() == []
    assert limit.read_text() == "8192"
    assert kept.read_text() == "fs.inotify.max_user_instances = 8192\n"


def test_a_higher_limit_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "max_user_instances"
    monkeypatch.setattr(installer, "INOTIFY", limit)
    monkeypatch.setattr(installer, "SYSCTL_FILE", tmp_path / "60-mailu.conf")
    limit.write_text("65536\n")
    assert installer.raise_inotify_limit() == []
    assert limit.read_text() == "65536\n"


def test_a_limit_that_cannot_be_raised_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installer, "INOTIFY", tmp_path / "absent")
    assert "fs.inotify.max_user_instances could not be raised" in installer.raise_inotify_limit()[0]
