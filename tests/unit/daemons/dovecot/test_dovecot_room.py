"""What the room renders and checks."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.room_harness import HOST, compare_with_golden, install, make_request, root_folder, this_host
from tests.unit.daemons.dovecot.house import make_certificate

from mailu.daemons.dovecot import ROOM, checker
from mailu.daemons.dovecot.room import DovecotRoom
from mailu.daemons.room import CheckResult, RenderRequest

ADDRESS = "127.0.16.2"
PLAIN = {"TLS_FLAVOR": "notls", "BIND_ADDRESS4": ADDRESS, "BIND_ADDRESS6": "none", "PORTS": "143"}
CERTIFICATES = [
    ("mail.example.org", Path("/mailu/certs/cert.pem"), Path("/mailu/certs/key.pem")),
    ("mx.example.org", Path("/mailu/certs/mx/chain.pem"), Path("/mailu/certs/mx/key.pem")),
]
EVERYTHING = {
    "BIND_ADDRESS4": "192.0.2.1",
    "BIND_ADDRESS6": "2001:db8::1",
    "PORTS": "110,143,993,995,4190",
    "TLS": "443,465,995",
    "PROXY_PROTOCOL": "993,995",
    "REAL_IP_FROM": "192.0.2.8,198.51.100.0/24",
    "COMPRESSION": "zstd",
    "COMPRESSION_LEVEL": "5",
    "FULL_TEXT_SEARCH": "en,de",
    "FULL_TEXT_SEARCH_ATTACHMENTS": "true",
    "FTS_ATTACHMENTS_ADDRESS": "tika",
    "RECIPIENT_DELIMITER": "+-",
    "IMAP_GREETING": "100% mail",
    "TLS_PROFILE_IMAP": "old",
    "LOG_LEVEL": "DEBUG",
}
VARIANTS: dict[str, dict[str, str]] = {
    "default": {},
    "small-plain": {"SMALL_HOST": "true", "TLS_FLAVOR": "notls", "PORTS": "143", "FULL_TEXT_SEARCH": "off"},
    "everything": EVERYTHING,
}


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A tree that has the packages for full-text search of both dialects."""
    modules = tmp_path / "usr/lib/dovecot/modules"
    modules.mkdir(parents=True)
    for plugin in ("lib21_fts_xapian_plugin.so", "lib21_fts_flatcurve_plugin.so"):
        (modules / plugin).touch()
    return tmp_path


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("version", [(2, 3), (2, 4)])
def test_the_configuration_is_the_golden_one(variant: str, version: tuple[int, int], system: Path) -> None:
    host = replace(HOST, dovecot=version)
    overrides = {"dovecot.conf": "mail_debug = yes\n"} if variant == "everything" else {}
    request = make_request(VARIANTS[variant], service="imap", host=host, overrides=overrides, certificates=CERTIFICATES)
    files = DovecotRoom(system).render(request)
    compare_with_golden(f"dovecot/{variant}-{version[0]}.{version[1]}", files)


@pytest.mark.parametrize(("name", "readers"), [("directory.lua", "dovecot"), ("programs/learn", "vmail")])
def test_a_file_with_a_secret_is_for_its_reader_only(name: str, readers: str) -> None:
    file = ROOM.render(make_request())[name]
    assert (file.mode & 0o007, file.owner, file.group) == (0, "root", readers)


def test_no_other_file_holds_a_secret() -> None:
    request = make_request()
    secrets = (request.host.directory_secret, request.settings.service_key("RSPAMD"))
    for name, file in ROOM.render(request).items():
        if name not in ("directory.lua", "programs/learn"):
            assert not any(secret in file.text for secret in secrets), name


def test_a_delimiter_is_no_lua() -> None:
    text = ROOM.render(make_request({"RECIPIENT_DELIMITER": "-"}, host=replace(HOST, dovecot=(2, 4))))
    assert 'userdb_recipient_delimiter = "-"' in text["directory.lua"].text


def test_the_mail_belongs_to_the_mail_user_alone() -> None:
    request = make_request()
    mail = next(folder for folder in ROOM.folders(request) if folder.path == request.places.mail)
    assert (mail.owner, mail.group, mail.mode & 0o007) == ("vmail", "vmail", 0)


def checked(root: Path, variables: dict[str, str], **more: object) -> tuple[RenderRequest, CheckResult]:
    """Install on *root* and let the tools of this machine read it."""
    request = make_request(variables, root=root, service="imap", host=this_host(), **more)  # type: ignore[arg-type]
    install(ROOM, request)
    return request, ROOM.check(request)


@pytest.mark.daemons
@pytest.mark.parametrize("variables", [PLAIN, PLAIN | {"COMPRESSION": "gz", "COMPRESSION_LEVEL": "9"}, EVERYTHING])
def test_dovecot_has_nothing_to_say_about_our_configuration(variables: dict[str, str], tmp_path: Path) -> None:
    with root_folder("dc") as root:
        certificates = [make_certificate(tmp_path, "mail.example.org"), make_certificate(tmp_path, "mx.example.org")]
        _, result = checked(root, variables, certificates=certificates)
    assert result.problems == ()


@pytest.mark.daemons
def test_a_bad_line_of_the_operator_is_named_by_file_and_line() -> None:
    with root_folder("dc") as root:
        _, result = checked(root, PLAIN, overrides={"dovecot.conf": "# mine\nmail_dbug = yes\n"})
    [problem] = [line for line in result.problems if "mail_dbug" in line]
    assert "overrides/dovecot/dovecot.conf line 2" in problem


@pytest.mark.daemons
def test_the_operators_lines_win() -> None:
    with root_folder("dc") as root:
        request, result = checked(root, PLAIN, overrides={"dovecot.conf": "mail_max_userip_connections = 7\n"})
        shown = subprocess.run(
            ["doveconf", "-c", request.etc / "dovecot.conf", "-h", "mail_max_userip_connections"],
            capture_output=True,
            text=True,
            check=True,
        )
    assert (result.problems, shown.stdout) == ((), "7\n")


@pytest.mark.daemons
def test_a_warning_about_the_operators_file_is_a_note() -> None:
    if this_host().dovecot >= (2, 4):
        pytest.skip("Dovecot 2.4 knows no warning that an operator's file brings about")
    with root_folder("dc") as root:
        _, result = checked(root, PLAIN, overrides={"dovecot.conf": "mail_plugins = $mail_plugins mail_log notify\n"})
    assert result.problems == ()
    assert any("overrides/dovecot/dovecot.conf line 1" in note for note in result.notes)


@pytest.mark.daemons
def test_a_missing_certificate_is_a_problem_before_dovecot_starts() -> None:
    with root_folder("dc") as root:
        missing = [("mail.example.org", root / "cert.pem", root / "key.pem")]
        _, result = checked(root, {"BIND_ADDRESS4": ADDRESS, "BIND_ADDRESS6": "none"}, certificates=missing)
    assert any(str(root / "cert.pem") in problem for problem in result.problems)


@pytest.mark.daemons
def test_a_certificate_of_another_key_is_a_problem(tmp_path: Path) -> None:
    (_, chain, _), (_, _, key) = (
        make_certificate(tmp_path, "a.example.org"),
        make_certificate(tmp_path, "b.example.org"),
    )
    with root_folder("dc") as root:
        _, result = checked(root, {"BIND_ADDRESS4": ADDRESS}, certificates=[("a.example.org", chain, key)])
    [problem] = result.problems
    assert problem == f"the certificate of a.example.org, {chain}: it does not belong to its key"


@pytest.mark.daemons
def test_no_certificate_at_all_is_a_problem() -> None:
    with root_folder("dc") as root:
        _, result = checked(root, {"BIND_ADDRESS4": ADDRESS})
    assert result.problems != ()


@pytest.mark.daemons
def test_sieve_scripts_are_compiled_where_no_mail_process_could() -> None:
    with root_folder("dc") as root:
        request, _ = checked(root, PLAIN)
        compiled = sorted(path.name for path in (request.etc / "sieve").glob("*.svbin"))
    assert compiled == ["learn-ham.svbin", "learn-spam.svbin", "system.svbin"]


@pytest.mark.daemons
def test_notes_name_what_is_not_used_and_what_the_machine_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = tmp_path / "max_user_instances"
    few.write_text("128\n", encoding="ascii")
    monkeypatch.setattr(checker, "INOTIFY", few)
    with root_folder("dc") as root:
        _, result = checked(root, PLAIN, overrides={"proxy.conf": "x"})
    assert result.problems == ()
    assert any("fs.inotify.max_user_instances is 128" in note for note in result.notes)
    assert "overrides/dovecot/proxy.conf is not used: there is no proxy in front of the mailboxes" in result.notes
