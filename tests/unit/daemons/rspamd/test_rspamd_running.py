"""A real Rspamd with the rendered configuration, asked as Postfix asks it."""

from __future__ import annotations

import base64
import contextlib
import grp
import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.bench.processes import wait_until
from tests.room_harness import RunningDaemon, make_request, root_folder, running, this_host
from tests.unit.daemons.rspamd.milter_client import Envelope, Verdict, filter_message
from tests.unit.daemons.rspamd.world import Directory, NameServer, Oletools, Submission, clamd, free_udp_port

from mailu.address import DomainName
from mailu.daemons.redis import ROOM as REDIS
from mailu.daemons.room import RenderRequest
from mailu.daemons.rspamd import ROOM, controller_for_web, dmarc_report_command
from mailu.daemons.rspamd.compiler import end_idle_compiler
from mailu.identity.dkim import import_key

pytestmark = [pytest.mark.daemons, pytest.mark.slow]

GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
FROM_OUTSIDE = Envelope()
SUBMITTED = Envelope(login="anna@example.org", mail_from="anna@example.org", recipients=("bob@example.net",))


@dataclass
class Filter:
    """A running Rspamd and its world."""

    request: RenderRequest
    daemon: RunningDaemon
    names: NameServer
    directory: Directory

    def judge(self, message: bytes, envelope: Envelope = FROM_OUTSIDE) -> Verdict:
        return filter_message(self.request.places.milter, message, envelope)

    def until_domains_are_known(self) -> None:
        """The map of our domains is fetched a second or so after the first start, for each scanner and each rule."""
        in_a_row, until = 0, time.monotonic() + 40
        while in_a_row < 12:
            in_a_row = in_a_row + 1 if self._knows_domains() else 0
            assert time.monotonic() < until, f"the domains were never read:\n{self.daemon.said()[-3000:]}"
            time.sleep(0 if in_a_row else 0.1)

    def _knows_domains(self) -> bool:
        forged, foreign = (self.judge(make_message(author)) for author in ("anna@example.org", "bob@example.net"))
        return forged.action.startswith("554") and foreign.header("ARC-Seal") is not None


@dataclass
class World:
    """Name servers, a directory, and what was compiled once for all tests."""

    names: NameServer
    directory: Directory
    compiled: Path


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with root_folder("rs") as root, NameServer().serving() as names, Directory(root / "keys").serving() as directory:
        directory.folder.mkdir()
        yield World(names, directory, root / "compiled")


@contextlib.contextmanager
def start(
    world: World, variables: dict[str, str] | None = None, overrides: dict[str, str] | None = None, **facts: Any
) -> Iterator[Filter]:
    """Redis and Rspamd on a root of their own, without greylisting unless *overrides* say otherwise."""
    known = {"directory_port": world.directory.port, "resolver_port": world.names.port, "fuzzy_port": free_udp_port()}
    host = this_host(**(known | facts))
    overrides = {"greylist.conf": "enabled = false;\n"} if overrides is None else overrides
    # The name server is a thread of the tests, which may wait for a processor.
    overrides = {"options.inc": "dns { timeout = 3s; }\n", **overrides}
    with root_folder("rs") as root:
        request = make_request(variables, root=root, service="antispam", host=host, overrides=overrides)
        if world.compiled.exists():
            shutil.copytree(world.compiled, request.places.filter, dirs_exist_ok=True)
        with running(REDIS, make_request(root=root, service="redis")), running(ROOM, request) as daemon:
            yield Filter(request, daemon, world.names, world.directory)
            copied = shutil.ignore_patterns("*.rrd", "*.ucl", "*.unser", "rspamd*", "*.new")
            shutil.copytree(request.places.filter, world.compiled, dirs_exist_ok=True, ignore=copied)


@pytest.fixture(scope="module")
def antispam(world: World) -> Iterator[Filter]:
    overrides = {"greylist.conf": "enabled = false;\n", "antispoof_exempt.map": "203.0.113.77\n"}
    with start(world, {"RELAYNETS": "198.51.100.0/24"}, overrides) as found:
        found.until_domains_are_known()
        yield found


_count = iter(range(1_000_000))


def make_message(sender: str | None, recipient: str = "anna@example.org", *more: str, body: bytes = b"") -> bytes:
    head = [
        *([f"From: Somebody <{sender}>"] if sender else []),
        f"To: {recipient}",
        f"Subject: what we talked about, part {next(_count)}",
        "Date: Mon, 23 Nov 2026 10:00:00 +0000",
        f"Message-ID: <{next(_count)}@mail.example>",
        "MIME-Version: 1.0",
        *more,
    ]
    text = body or b"Dear all,\r\n\r\nthe minutes of our meeting are ready, please read them.\r\n"
    return "\r\n".join(head).encode() + b"\r\n\r\n" + text


def with_attachment(name: str, content: bytes = b"QUJDREVGR0g=", sender: str = "bob@example.net") -> bytes:
    body = (
        b"--b\r\nContent-Type: text/plain\r\n\r\nSee the attachment.\r\n--b\r\n"
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="' + name.encode() + b'"\r\n\r\n' + content * 80
    )
    return make_message(
        sender, "anna@example.org", "Content-Type: multipart/mixed; boundary=b", body=body + b"\r\n--b--\r\n"
    )


# Signing


def until_keys_are_asked_for_again() -> None:
    """An answer about keys is believed for a second."""
    time.sleep(1.1)


@pytest.mark.parametrize("domain", ["example.org", "alternative.example"])
def test_what_users_send_is_signed_with_rsa_and_ed25519(antispam: Filter, domain: str) -> None:
    message = make_message(f"anna@{domain}", "bob@example.net")
    verdict = antispam.judge(message, SUBMITTED)
    assert verdict.action == "accept"
    signatures = verdict.headers("DKIM-Signature")
    keys = {f"{key.selector}._domainkey.{domain}.": key.record for key in antispam.directory.signing_keys()}
    asked: list[str] = []

    def record(name: bytes, timeout: int = 5) -> bytes:
        asked.append(name.decode())
        return keys[name.decode()].encode()

    for signature in signatures:
        assert dkim.verify(b"DKIM-Signature: " + signature.encode() + b"\r\n" + message, dnsfunc=record)
    assert sorted(asked) == sorted(keys)


def test_a_key_whose_text_begins_like_a_path_signs_and_stays_secret(antispam: Filter) -> None:
    folder, domain, seed = antispam.directory.folder, DomainName("example.org"), bytes([255]) * 32
    (key,) = [one for one in antispam.directory.signing_keys() if one.algorithm == "ed25519"]
    pem = Ed25519PrivateKey.from_private_bytes(seed).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    record = import_key(folder, domain, key.selector, pem).record
    try:
        until_keys_are_asked_for_again()
        message = make_message("anna@example.org", "bob@example.net")
        signatures = antispam.judge(message, SUBMITTED).headers("DKIM-Signature")
    finally:
        import_key(folder, domain, key.selector, key.private_pem.encode())
        until_keys_are_asked_for_again()
    (signature,) = [one for one in signatures if f"s={key.selector};" in one]
    signed = b"DKIM-Signature: " + signature.encode() + b"\r\n" + message
    assert dkim.verify(signed, dnsfunc=lambda _name, timeout=5: record.encode())
    assert base64.b64encode(seed).decode() not in antispam.daemon.said()


def test_a_user_may_send_under_another_domain_of_ours(antispam: Filter) -> None:
    """Who may send as whom is decided at submission; here the header From decides which key signs."""
    verdict = antispam.judge(make_message("boss@alternative.example", "bob@example.net"), SUBMITTED)
    assert {"d=alternative.example" in signature for signature in verdict.headers("DKIM-Signature")} == {True}


def test_mail_from_listed_networks_is_signed_and_may_use_our_domains(antispam: Filter) -> None:
    envelope = Envelope(client_ip="198.51.100.5", mail_from="anna@example.org", recipients=("bob@example.net",))
    verdict = antispam.judge(make_message("anna@example.org", "bob@example.net"), envelope)
    assert verdict.action == "accept"
    assert len(verdict.headers("DKIM-Signature")) == 2


def test_mail_of_strangers_is_never_signed(antispam: Filter) -> None:
    assert antispam.judge(make_message("bob@example.net")).headers("DKIM-Signature") == []


def _hangs(_domain: str) -> tuple[int, bytes]:
    time.sleep(4)
    return 404, b""


UNUSABLE = {"domain": "example.org", "selector": "x", "alg": "rsa", "key": "bm9uZQ=="}
NO_ANSWERS: dict[str, Callable[[str], tuple[int, bytes]]] = {
    "hangs": _hangs,
    "not now": lambda _domain: (503, b""),
    "wrong secret": lambda _domain: (403, b""),
    "garbage": lambda _domain: (200, b"{"),
    "no key to use": lambda _domain: (200, json.dumps({"data": {"selectors": [UNUSABLE]}}).encode()),
}


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_mail_of_our_own_waits_until_it_can_be_signed(
    antispam: Filter, answer: Callable[[str], tuple[int, bytes]]
) -> None:
    listed = Envelope(client_ip="198.51.100.5", mail_from="anna@example.org", recipients=("bob@example.net",))
    antispam.directory.keys = answer
    until_keys_are_asked_for_again()
    try:
        for envelope in (SUBMITTED, listed):
            verdict = antispam.judge(make_message("anna@example.org", "bob@example.net"), envelope)
            assert verdict.action == "451 4.7.1 Please retry later (the message could not be signed)"
        unsealed = antispam.judge(make_message("bob@example.net"))
        assert (unsealed.action, unsealed.header("ARC-Seal")) == ("accept", None)
    finally:
        antispam.directory.keys = None
        until_keys_are_asked_for_again()
    assert len(antispam.judge(make_message("anna@example.org"), SUBMITTED).headers("DKIM-Signature")) == 2


@pytest.mark.parametrize("author", ["anna@elsewhere.example", "anna@b\u00fccher.example", "anna@[192.0.2.1]"])
def test_mail_under_a_domain_that_has_no_key_leaves_without_a_signature(antispam: Filter, author: str) -> None:
    verdict = antispam.judge(make_message(author, "bob@example.net"), SUBMITTED)
    assert (verdict.action, verdict.headers("DKIM-Signature")) == ("accept", [])


def test_the_login_name_stays_with_us(antispam: Filter) -> None:
    login = Envelope(login="secretlogin@example.org", mail_from="anna@example.org", recipients=("bob@example.net",))
    results = antispam.judge(make_message("anna@example.org", "bob@example.net"), login).header(
        "Authentication-Results"
    )
    assert results is not None
    assert "auth=pass" in results
    assert "secretlogin" not in results


def test_what_comes_in_is_sealed_for_those_it_may_be_forwarded_to(antispam: Filter) -> None:
    verdict = antispam.judge(make_message("bob@example.net"))
    seal = verdict.header("ARC-Seal")
    assert seal is not None
    assert "d=example.org" in seal
    assert "a=rsa-sha256" in seal
    assert len(verdict.headers("ARC-Seal")) == 1


# Marks


def test_strangers_mail_gets_its_marks_and_loses_forged_ones(antispam: Filter) -> None:
    forged = ("X-Spam: no", "X-Spam-Level: ", "X-Spamd-Bar: /", "Authentication-Results: mail.example.org; spf=pass")
    verdict = antispam.judge(make_message("bob@example.net", "anna@example.org", *forged))
    assert verdict.action == "accept"
    assert {"X-Spamd-Bar", "X-Spam-Level", "X-Spam", "Authentication-Results"} <= set(verdict.removed)
    assert verdict.header("X-Spamd-Bar") is not None
    results = verdict.header("Authentication-Results")
    assert results is not None
    assert "spf=none" in results


def test_plain_spam_is_refused_from_anybody(antispam: Filter) -> None:
    for envelope in (FROM_OUTSIDE, SUBMITTED):
        sender = envelope.mail_from
        verdict = antispam.judge(make_message(sender, "x@example.org", body=GTUBE + b"\r\n"), envelope)
        assert verdict.action.startswith("554 5.7.1"), (envelope, verdict)


def test_probable_spam_is_marked_for_the_recipient_but_never_for_the_sender(antispam: Filter) -> None:
    html = ("Content-Type: text/html", "X-Mailer: The Bat! (v1.52f) Business", "Precedence: bulk")
    body = b'<html><a href="http://203.0.113.5/x">http://bank.example/login</a></html>\r\n'
    stranger = antispam.judge(make_message("bob@example.net", "undisclosed-recipients:;", *html, body=body))
    assert stranger.header("X-Spam") == "Yes" or stranger.action.startswith("554"), stranger
    sent = antispam.judge(make_message("anna@example.org", "bob@example.net", *html, body=body), SUBMITTED)
    assert sent.action == "accept"
    assert sent.header("X-Spam") is None


# Our own names, used from outside


def test_a_stranger_cannot_write_as_one_of_us(antispam: Filter) -> None:
    verdict = antispam.judge(make_message("anna@example.org"))
    assert verdict.action == (
        "554 5.7.1 Rejected (anti-spoofing: noauth). Please setup DMARC with DKIM or SPF if you want to send emails "
        "from your domain from other servers."
    )


def test_no_header_from_under_our_envelope_is_refused(antispam: Filter) -> None:
    verdict = antispam.judge(make_message(None), Envelope(mail_from="anna@example.org"))
    assert "anti-spoofing: noauth" in verdict.action


def test_a_service_that_spf_names_may_write_as_us_without_any_dmarc_policy(antispam: Filter) -> None:
    antispam.names.texts["example.org"] = "v=spf1 ip4:203.0.113.9 -all"
    try:
        service = Envelope(mail_from="bounces@example.org")
        assert antispam.judge(make_message("shop@example.org"), service).action == "accept"
        elsewhere = Envelope(mail_from="shop@example.org", client_ip="203.0.113.10")
        assert antispam.judge(make_message("shop@example.org"), elsewhere).action == (
            "554 5.7.1 Rejected (anti-spoofing: auth-failed)"
        )
    finally:
        del antispam.names.texts["example.org"]


def test_spf_of_another_domain_proves_nothing_about_ours(antispam: Filter) -> None:
    antispam.names.texts["example.net"] = "v=spf1 ip4:203.0.113.9 -all"
    try:
        assert "noauth" in antispam.judge(make_message("anna@example.org"), FROM_OUTSIDE).action
    finally:
        del antispam.names.texts["example.net"]


def test_a_service_that_signs_with_our_key_may_write_as_us(antispam: Filter) -> None:
    key = antispam.directory.signing_keys()[0]
    antispam.names.texts[f"{key.selector}._domainkey.example.org"] = key.record
    try:
        message = make_message("news@example.org")
        signature = dkim.sign(message, key.selector.encode(), b"example.org", key.private_pem.encode())
        assert antispam.judge(signature + message).action == "accept"
    finally:
        del antispam.names.texts[f"{key.selector}._domainkey.example.org"]


@pytest.mark.parametrize("policy", ["none", "quarantine", "reject"])
def test_a_published_policy_of_ours_is_enforced_whatever_it_says(antispam: Filter, policy: str) -> None:
    antispam.names.texts["_dmarc.alternative.example"] = f"v=DMARC1; p={policy}; adkim=s; aspf=s"
    try:
        assert antispam.judge(make_message("anna@alternative.example")).action == (
            "554 5.7.1 Rejected (anti-spoofing: DMARC compliance is enforced for local domains, regardless of the "
            "policy setting)"
        )
    finally:
        del antispam.names.texts["_dmarc.alternative.example"]


def test_addresses_that_the_operator_lists_may_write_as_us(antispam: Filter) -> None:
    listed = Envelope(client_ip="203.0.113.77", mail_from="anna@example.org")
    assert antispam.judge(make_message("anna@example.org"), listed).action == "accept"


def test_a_mailing_list_may_bring_our_own_words_back(antispam: Filter) -> None:
    marks = ("List-Id: talk <talk.lists.example.net>", "Precedence: list", "X-Mailman-Version: 2.1.39",
             "List-Post: <mailto:talk@lists.example.net>", "X-BeenThere: talk@lists.example.net",
             "List-Help: <mailto:talk-request@lists.example.net?subject=help>",
             "Sender: talk-bounces@lists.example.net",
             "List-Unsubscribe: <mailto:talk-request@lists.example.net?subject=unsubscribe>",
             "List-Subscribe: <mailto:talk-request@lists.example.net?subject=subscribe>")  # fmt: skip
    bounces = Envelope(mail_from="talk-bounces@lists.example.net")
    assert (
        antispam.judge(make_message("anna@example.org", "talk@lists.example.net", *marks), bounces).action == "accept"
    )


def test_who_writes_as_us_waits_while_it_cannot_be_looked_up(antispam: Filter) -> None:
    antispam.names.failing.update({"_dmarc.alternative.example", "alternative.example", "example.net"})
    try:
        ours = antispam.judge(make_message("a@alternative.example"), Envelope(mail_from="a@alternative.example"))
        assert ours.action.startswith("451 4.7.1 Please retry later (anti-spoofing:"), ours
        theirs = antispam.judge(make_message("bob@example.net"), Envelope(mail_from="bob@example.net"))
        assert theirs.action == "accept"
    finally:
        antispam.names.failing.clear()


# Attachments


@pytest.mark.parametrize("name", ["invoice.exe", "notes.one", "INVOICE.PDF.JS", "x.vhd"])
@pytest.mark.parametrize("envelope", [FROM_OUTSIDE, SUBMITTED])
def test_attachments_that_run_by_themselves_are_refused(antispam: Filter, name: str, envelope: Envelope) -> None:
    verdict = antispam.judge(with_attachment(name, sender=envelope.mail_from), envelope)
    assert verdict.action.endswith("Forbidden attachment extension"), verdict


def test_other_attachments_pass(antispam: Filter) -> None:
    assert antispam.judge(with_attachment("minutes.odt")).action == "accept"


# Learning and pages


def ask_controller(path: Path, method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.connect(str(path))
    connection.request(method, target, body, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_people_teach_the_filter_through_its_socket(antispam: Filter) -> None:
    path = antispam.request.places.filter_controller
    message = make_message("bob@example.net", body=b"buy these wonderful cheap pills right now today only " * 20)
    assert ask_controller(path, "POST", "/learnspam", message)[0] == 200
    status, said = ask_controller(path, "POST", "/fuzzyadd", message, Flag="11", Weight="10")
    assert (status, b"success" in said) == (200, True), said
    for _ in range(150):
        found = ask_controller(path, "POST", "/checkv2", message)[1]
        if b"LOCAL_FUZZY_DENIED" in found:
            return
        time.sleep(0.1)
    raise AssertionError(found)


def test_each_socket_is_open_to_one_group_only(antispam: Filter) -> None:
    def door(path: Path) -> tuple[str, int]:
        status = path.stat()
        return grp.getgrgid(status.st_gid).gr_name, stat.S_IMODE(status.st_mode)

    places = antispam.request.places
    assert door(places.milter) == ("postfix", 0o660)
    assert door(places.filter_controller) == ("vmail", 0o660)
    assert door(controller_for_web(places)) == ("www-data", 0o660)
    assert door(places.milter.with_name("scan")) == ("_rspamd", 0o600)


def test_the_pages_are_served_to_the_web_server(antispam: Filter) -> None:
    path = controller_for_web(antispam.request.places)
    assert b"Rspamd" in ask_controller(path, "GET", "/")[1]
    assert b'"scanned"' in ask_controller(path, "GET", "/stat")[1]


def test_nothing_listens_on_the_network(antispam: Filter) -> None:
    pids = {str(antispam.daemon.process.pid)} | _children(antispam.daemon.process.pid)
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    assert [line for line in listening.splitlines() if any(f"pid={pid}," in line for pid in pids)] == []


def _children(pid: int) -> set[str]:
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def test_a_reload_keeps_the_sockets_and_takes_new_values(antispam: Filter) -> None:
    before = _children(antispam.daemon.process.pid)
    os.kill(antispam.daemon.process.pid, signal.SIGHUP)
    until = time.monotonic() + 20
    while _children(antispam.daemon.process.pid) & before:
        assert time.monotonic() < until
        time.sleep(0.1)
        assert antispam.judge(make_message("bob@example.net")).action == "accept"
    antispam.until_domains_are_known()


def test_the_compiler_of_expressions_is_ended_when_it_is_done_and_comes_back_with_a_reload(world: World) -> None:
    with start(world) as found:
        main = found.daemon.process.pid

        def compilers() -> int:
            titles = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in _children(main)]
            return sum(title.startswith(b"rspamd: hs_helper") for title in titles)

        assert compilers() == 1
        assert not end_idle_compiler(main)
        wait_until(lambda: end_idle_compiler(main, age_seconds=5), seconds=60, what="the end of the work", every=0.2)
        wait_until(lambda: compilers() == 0, seconds=10, what="the end of the compiler")
        for _ in range(20):
            assert found.judge(make_message("bob@example.net")).action == "accept"
            time.sleep(0.1)
            assert compilers() == 0
        os.kill(main, signal.SIGHUP)
        wait_until(lambda: compilers() == 1, seconds=20, what="another compiler")


# Reports


def test_reports_about_others_mail_go_out_through_our_own_socket(world: World) -> None:
    world.names.texts["_dmarc.example.net"] = "v=DMARC1; p=none; rua=mailto:reports@example.net"
    with start(world, {"DMARC_SEND_REPORTS": "true", "SITENAME": 'Example "Mail"'}) as found:
        for _ in range(3):
            assert found.judge(make_message("bob@example.net")).action == "accept"
        submission = Submission(found.request.places.mail_queue / "public" / "inject")
        command = dmarc_report_command(found.request, found.request.etc)
        # rspamadm asks the name servers in resolv.conf(5), whatever Rspamd does: it gets a file of its own.
        resolv_conf = found.request.places.run / "resolv.conf"
        resolv_conf.write_text("nameserver 127.0.17.53\n")
        words = " ".join([*command, time.strftime("%Y%m%d", time.gmtime())])
        script = f"mount --bind {resolv_conf} /etc/resolv.conf && exec {words}"
        names = NameServer(texts=world.names.texts)
        with submission.serving(), names.serving("127.0.17.53", 53):
            unshared = ["unshare", "--mount", "sh", "-c", script]
            done = subprocess.run(unshared, capture_output=True, text=True, timeout=60, check=False)
    del world.names.texts["_dmarc.example.net"]
    assert submission.recipients == ["RCPT TO: <reports@example.net>"], done.stdout + done.stderr
    assert 'From: "Example Mail" <postmaster@example.org>' in submission.messages[0]
    assert "example.org!example.net!" in submission.messages[0]


# What happens when others are away


def test_strangers_who_look_odd_must_come_again(world: World) -> None:
    with start(world, {"GREYLIST_SCORE": "0.1"}, overrides={}) as found:
        odd = make_message(None).replace(b"Subject", b"X-Subject")
        assert found.judge(odd).action == "451 4.7.1 Try again later"
        assert found.judge(odd, SUBMITTED).action == "accept"


def test_infected_mail_is_refused_and_a_scanner_that_is_away_delays(world: World) -> None:
    with start(world, {"ANTIVIRUS": "clamav"}) as found:
        with clamd(found.request.places.run / "antivirus" / "clamd", b"Eicar-Test-Signature FOUND"):
            verdict = found.judge(with_attachment("minutes.odt"))
            assert verdict.action == "554 5.7.1 Rejected (dangerous/malicious code detected)"
        away = found.judge(with_attachment("agenda.odt", b"QUJDREVGR0k="))
        assert away.action == "451 4.7.1 Please retry later (anti-virus not ready)"


def test_infected_mail_can_be_thrown_away(world: World) -> None:
    with (
        start(world, {"ANTIVIRUS": "clamav", "ANTIVIRUS_ACTION": "discard"}) as found,
        clamd(found.request.places.run / "antivirus" / "clamd", b"Eicar-Test-Signature FOUND"),
    ):
        assert found.judge(with_attachment("minutes.odt")).action == "discard"


DANGEROUS = [("AutoExec", "Document_Open"), ("Suspicious", "Shell")]
STOMPED = [("Suspicious", "VBA Stomping")]
HARMLESS = [("AutoExec", "Document_Open"), ("Suspicious", "Chr")]


def test_dangerous_macros_are_refused_and_harmless_ones_pass(world: World) -> None:
    scanner = Oletools("127.0.17.60")
    with scanner.serving(), start(world, {"SCAN_MACROS": "true", "OLETOOLS_ADDRESS": "127.0.17.60"}) as found:
        for number, (macros, passes) in enumerate([(DANGEROUS, False), (STOMPED, False), (HARMLESS, True)]):
            scanner.finds = macros
            verdict = found.judge(with_attachment("report.docm", f"QUJDREVGR0{number}=".encode()))
            wanted = "accept" if passes else "554 5.7.1 Rejected (dangerous macro detected)"
            assert verdict.action == wanted, (macros, found.daemon.said()[-2000:])
    assert scanner.asked == 3


def test_a_macro_scanner_that_is_away_delays(world: World) -> None:
    with start(world, {"SCAN_MACROS": "true", "OLETOOLS_ADDRESS": "127.0.17.60"}) as found:
        assert found.judge(with_attachment("report.docm")).action == (
            "451 4.7.1 Please retry later (macro scanner not ready)"
        )
        assert found.judge(make_message("bob@example.net")).action == "accept"


def test_a_small_machine_does_all_of_it_with_fewer_processes(world: World) -> None:
    with start(world, {"SMALL_HOST": "true"}) as found:
        found.until_domains_are_known()
        signed = found.judge(make_message("anna@example.org", "bob@example.net"), SUBMITTED)
        assert len(signed.headers("DKIM-Signature")) == 2
        assert found.judge(make_message("bob@example.net")).action == "accept"
        assert len(_children(found.daemon.process.pid)) == 3  # proxy, controller, and the compiler of expressions
        ham = make_message("bob@example.net", body=b"good words of friends " * 90)
        assert ask_controller(found.request.places.filter_controller, "POST", "/learnham", ham)[0] == 200


def test_without_redis_mail_is_still_judged(world: World) -> None:
    with start(world, {"REDIS_ADDRESS": "127.0.17.61"}) as found:
        began = time.monotonic()
        assert found.judge(make_message("bob@example.net")).action == "accept"
        assert found.judge(make_message("bob@example.net", body=GTUBE + b"\r\n")).action.startswith("554")
        assert time.monotonic() - began < 10


def test_without_the_directory_mail_waits(world: World) -> None:
    """Whether a recipient denies the sender is not known then."""
    with start(world, directory_port=1) as found:
        assert found.judge(make_message("bob@example.net")).action.startswith("451 4.7.1")


def test_without_any_dns_mail_is_judged_at_once(world: World) -> None:
    """A resolver that fails at once, as ours does without a network, costs next to nothing."""
    world.names.failing.add(".")
    try:
        with start(world, resolves=False) as found:
            found.judge(make_message("bob@example.net"))
            began = time.monotonic()
            for _ in range(10):
                assert found.judge(make_message("bob@example.net")).action == "accept"
            assert time.monotonic() - began < 3
    finally:
        world.names.failing.clear()
