"""Roundcube in a real browser, against the real mail server."""

from __future__ import annotations

import contextlib
import imaplib
import json
import os
import re
import signal
import smtplib
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.daemons.optional.conftest import SITE, sign_on
from tests.daemons.server import DOMAIN, OTHER, PASSWORD, USER, Server, until


def _inbox(page: Page, email: str = USER) -> None:
    sign_on(page, email)
    expect(page.locator("#mailboxlist")).to_contain_text("Inbox")
    page.wait_for_function("window.rcmail && rcmail.env.task === 'mail' && !rcmail.busy")


@contextlib.contextmanager
def _visitor(full: Server) -> Iterator[httpx.Client]:
    """Somebody without a browser."""
    headers = {"Host": f"mail.{DOMAIN}"}
    with httpx.Client(base_url=f"https://{full.address}", verify=False, headers=headers, timeout=30) as client:
        yield client


@contextlib.contextmanager
def _signed_on(full: Server) -> Iterator[httpx.Client]:
    with _visitor(full) as client:
        form = client.get("/sso/login").text
        mark = re.search(r'name="form_mark" value="([^"]+)"', form)
        assert mark
        fields = {"form_mark": mark[1], "email": USER, "pw": PASSWORD}
        assert client.post("/sso/login", data=fields).status_code in (302, 303)
        yield client


def _ports(full: Server) -> dict[str, int]:
    found: dict[str, int] = json.loads((full.root / "run" / "ports.json").read_text())
    return found


def test_who_has_signed_on_is_in_the_inbox_without_another_login(full: Server, page: Page) -> None:
    _inbox(page)
    assert page.url.startswith(f"{SITE}/webmail/?_task=mail")
    assert page.locator("input[name=_pass]").count() == 0


def test_a_link_into_the_webmail_is_still_the_goal_after_signing_on(full: Server, page: Page) -> None:
    sign_on(page, where="/webmail/?_task=settings")
    expect(page.locator("#settings-menu")).to_contain_text("Filters")


def test_a_message_is_read_and_answered_and_what_is_sent_arrives(full: Server, page: Page) -> None:
    full.send(USER, sender=OTHER, subject="a question", text="Is anybody there?\n")
    full.wait_for_message(USER, subject="a question")
    _inbox(page)
    page.locator("#messagelist tr", has_text="a question").click()
    expect(page.frame_locator("#messagecontframe").locator("body")).to_contain_text("Is anybody there?")
    page.goto(f"{SITE}/webmail/?_task=mail&_action=compose&_to={OTHER}")
    page.fill("#compose-subject", "an answer")
    page.fill("#composebody", "Somebody is.")
    page.click("button.send")
    answer = full.wait_for_message(OTHER, subject="an answer")
    assert answer["From"].addresses[0].addr_spec == USER
    full.wait_for_message(USER, subject="an answer", folder="Sent")


def test_a_false_sender_is_refused(full: Server, page: Page) -> None:
    _inbox(page)
    page.goto(f"{SITE}/webmail/?_task=settings&_action=add-identity&_framed=1")
    page.fill("input[name=_name]", "Somebody else")
    page.fill("input[name=_email]", OTHER)
    page.check("input[name=_standard]", force=True)
    page.click("button.submit")
    page.goto(f"{SITE}/webmail/?_task=mail&_action=compose&_to={OTHER}")
    expect(page.locator("#_from")).to_contain_text(OTHER)
    page.select_option("#_from", label=f"Somebody else <{OTHER}>")
    page.fill("#compose-subject", "not from the other one")
    page.fill("#composebody", "x")
    page.click("button.send")
    expect(page.locator("#messagestack")).to_contain_text("SMTP Error")
    full.wait_for_log("smtp", f"logged in as {USER} and cannot send as <{OTHER}>")


def test_spam_is_filed_into_junk(full: Server, page: Page) -> None:
    full.send(USER, sender=OTHER, subject="cheap things")
    full.wait_for_message(USER, subject="cheap things")
    _inbox(page)
    page.locator("#messagelist tr", has_text="cheap things").click()
    expect(page.frame_locator("#messagecontframe").locator("body")).to_contain_text("Hello.")
    page.locator("a.junk.button:not(.disabled)").click()
    expect(page.locator("#messagelist tr", has_text="cheap things")).not_to_be_visible()
    full.wait_for_message(USER, subject="cheap things", folder="Junk")


def test_a_filter_is_made_and_works(full: Server, page: Page) -> None:
    _inbox(page)
    page.goto(f"{SITE}/webmail/?_task=settings&_action=plugin.managesieve")
    page.locator("a.create:visible:not(.disabled)").first.click()
    form = page.frame_locator("iframe[name=filter-box]")
    form.locator("input[name=_name]").fill("urgent")
    form.locator("select[name='_header[0]']").select_option(label="Subject")
    form.locator("input[name='_rule_target[0][]']:visible").first.fill("to be archived")
    form.locator("select[name='_action_mailbox[0]']").select_option(label="Trash")
    form.locator("button.submit").click()
    expect(page.locator("#messagestack")).to_contain_text("saved")
    full.send(USER, sender=OTHER, subject="something to be archived")
    full.wait_for_message(USER, subject="something to be archived", folder="Trash")


def test_settings_lead_to_our_page_for_a_new_password(full: Server, page: Page) -> None:
    sign_on(page, where="/webmail/?_task=settings")
    page.click("#settings-menu .password a")
    page.wait_for_url(f"{SITE}/admin/user/password")


def test_logging_out_ends_the_sign_on(full: Server, page: Page) -> None:
    _inbox(page)
    page.click("#taskmenu a.logout")
    page.wait_for_url(re.compile(r"/sso/login"))
    page.goto(f"{SITE}/webmail/")
    assert "/sso/login" in page.url


def test_the_next_one_at_the_same_browser_does_not_see_the_mail_of_the_one_before(full: Server, page: Page) -> None:
    _inbox(page)
    kept = [cookie for cookie in page.context.cookies() if cookie["name"].startswith("roundcube")]
    assert kept
    page.goto(f"{SITE}/sso/logout")
    page.context.add_cookies(kept)  # type: ignore[arg-type]
    _inbox(page, OTHER)
    expect(page.locator(".header-title.username, .username").first).to_contain_text(OTHER)


def test_a_store_that_is_down_gives_a_page_that_says_so_and_no_loop(full: Server, page: Page) -> None:
    _inbox(page)
    page.context.clear_cookies(name=re.compile("^roundcube"))
    with _stopped(full):
        answer = page.goto(f"{SITE}/webmail/", timeout=90_000)
        assert answer is not None
        assert answer.status == 503
        expect(page.locator("h1")).to_contain_text("cannot be opened right now")
        expect(page.locator("main")).to_contain_text("Nothing is lost")
    until(lambda: _let_in(page), seconds=60, what="being let in again")


def _let_in(page: Page) -> bool:
    """Follow the page's advice."""
    page.get_by_role("link", name="Try again").click()
    return page.locator("#mailboxlist").count() > 0


@contextlib.contextmanager
def _stopped(full: Server) -> Iterator[None]:
    """Dovecot takes connections meanwhile, and says nothing."""
    group = [facts.pid for facts in full.processes() if "dovecot" in _program(facts.pid)]
    assert group
    _signal(group, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(group, signal.SIGCONT)


def _program(pid: int) -> str:
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/exe").readlink())
    return ""


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@pytest.mark.parametrize(
    "path",
    [
        "/plugins/password/config.inc.php",
        "/plugins/managesieve/config.inc.php",
        "/plugins/managesieve/localization/en_US.inc",
        "/plugins/managesieve/managesieve.php",
        "/plugins/mailu/mailu.php",
        "/plugins/../config/config.inc.php",
        "/plugins/x.php/y.css",
        "/plugins/managesieve/managesieve.php/x.css",
        "/config/config.inc.php",
        "/config/defaults.inc.php",
        "/program/include/iniset.php",
        "/program/js/..%2f..%2f..%2fconfig/config.inc.php",
        "/SQL/sqlite.initial.sql",
        "/bin/updatedb.sh",
        "/temp/",
        "/logs/errors.log",
        "/installer/",
        "/index.php/x.css",
        "/ping",
        "/skins/elastic/templates/mail.html",
        "/.htaccess",
    ],
)
def test_no_source_is_served(full: Server, path: str) -> None:
    with _signed_on(full) as client:
        answer = client.get(f"/webmail{path}")
        # 302: the path is none of the webmail's, and leads home.
        assert answer.status_code in (302, 400, 403, 404), answer.text[:200]
        assert "<?php" not in answer.text


def test_styles_are_served_to_whoever_asks(full: Server) -> None:
    with _visitor(full) as client:
        assert client.get("/webmail/skins/elastic/styles/styles.min.css").status_code == 200
        assert client.get("/webmail/", follow_redirects=False).headers["location"] == "/sso/login?url=/webmail/"


def test_headers_of_a_client_sign_nobody_on(full: Server) -> None:
    forged = {
        "X-Remote-User": USER, "X-Remote-User-Token": "token-x", "Mailu-User": USER, "MAILU_USER": USER,
        "X-User": USER, "X-User-Token": "token-x",
    }  # fmt: skip
    with _visitor(full) as client:
        assert client.get("/webmail/", headers=forged).status_code == 302
    with _signed_on(full) as client:
        forged = dict.fromkeys(forged, OTHER)
        page = client.get("/webmail/", headers=forged, follow_redirects=True).text
        assert USER in page
        assert OTHER not in page


def test_a_script_whose_sign_on_has_ended_is_told_where_to_go(full: Server) -> None:
    with _visitor(full) as client:
        answer = client.post("/webmail/?_task=mail&_action=refresh", headers={"X-Roundcube-Request": "x"})
        assert answer.status_code == 401
        assert answer.headers["location"] == "/webmail/"


def test_the_doors_of_the_webmail_take_no_password(full: Server) -> None:
    ports = _ports(full)
    with imaplib.IMAP4("127.0.0.1", ports["webmail-imap"], timeout=20) as session, pytest.raises(imaplib.IMAP4.error):
        session.login(USER, PASSWORD)
    with smtplib.SMTP("127.0.0.1", ports["webmail-smtp"], timeout=20) as session:
        session.ehlo()
        with pytest.raises(smtplib.SMTPAuthenticationError):
            session.login(USER, PASSWORD)
        assert session.mail(USER)[0] == 250
        assert session.rcpt("stranger@example.org")[0] >= 500


def test_the_doors_are_not_reached_from_outside(full: Server) -> None:
    for name in ("webmail-imap", "webmail-sieve", "webmail-smtp"):
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((full.address, _ports(full)[name]), 2)


def test_the_token_of_a_session_is_not_written_down(full: Server, page: Page) -> None:
    _inbox(page)
    database = b"".join(path.read_bytes() for path in (full.root / "webmail").glob("roundcube.db*"))
    assert b"user_id" in database
    assert b"token-" not in database
    assert b"password|" not in database


def test_scripts_of_the_webmail_cannot_look_around(full: Server) -> None:
    """What an attacker who can run PHP in the webmail would try first."""
    folder = full.root / "run" / "webmail" / "tmp"
    script = folder / "probe.php"
    secrets = ["/etc/passwd", *(f"{full.root}/{name}" for name in ("data/main.db", "mailu.env", "run/admin/http"))]
    script.write_text(
        f"<?php foreach ({secrets}"
        " as $f) echo @file_get_contents($f) === false ? 'no ' : 'YES ';"
        " foreach (['exec', 'system', 'popen', 'dl', 'mail'] as $f) echo function_exists($f) ? 'YES ' : 'no ';"
        " echo ini_get('allow_url_fopen') ? 'YES' : 'no', ' ', posix_geteuid() === 0 ? 'YES' : 'no';"
    )
    script.chmod(0o644)
    said = _run_php(full, str(script))
    script.unlink()
    assert said.split() == ["no"] * 11


def _run_php(full: Server, script: str) -> str:
    """Run *script* as php-fpm would, by its socket."""
    from mailu.daemons.roundcube.room import _fastcgi_request

    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(full.root / "run" / "webmail" / "php"))
        values = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/probe.php", "SCRIPT_FILENAME": script}
        connection.sendall(_fastcgi_request(values))
        answer = b""
        while more := connection.recv(65536):
            answer += more
    body = answer.split(b"\r\n\r\n", 1)[1]
    return body[: body.rfind(b"\x01\x03")].rstrip(b"\0").decode("latin-1")
