"""Each check of the doctor, failing and passing, on a whole server that has everything around it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import smtplib
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec

import pytest

from mailu.deploy.doctor import CHECKS, DNSBL_TEST, Check, State
from tests.daemons import jumping_clock
from tests.daemons.hosts.network import PREFIX
from tests.daemons.island import HOST, MAIL, TIME_SERVER, Island, IslandServer, can_be_made
from tests.daemons.server import DOMAIN, MAILU, PASSWORD, USER, make_message, until
from tests.daemons.small_disk import SmallDisk
from tests.pki import TestAuthority

pytestmark = pytest.mark.timeout(600)

DISK_MEGABYTES = 64
CHAIN, KEY = "fullchain.pem", "privkey.pem"
BLOCK_LIST = "zen.spamhaus.org"
TURNED = ".".join(reversed(HOST.split(".")))
SPAMHAUS = f"{DNSBL_TEST}.{BLOCK_LIST}. 5 IN A 127.0.0.2\n"
ABSENT = "somebody@absent.test"
"""Of a host that is in DNS, and does not answer."""
HOURS = 5
PRETENDER = """
import ctypes, socket, sys, time
ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)  # PR_SET_NAME
with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as listening:
    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listening.bind(("::", 25))
    listening.listen()
    print("ready", flush=True)
    time.sleep(600)
"""


P = ParamSpec("P")


def lasting(make: Callable[P, Iterator[None]]) -> Callable[P, AbstractContextManager[None]]:
    """A context manager that undoes what it did, whatever happens meanwhile."""

    @contextmanager
    def made(*arguments: P.args, **named: P.kwargs) -> Iterator[None]:
        steps = make(*arguments, **named)
        next(steps)
        try:
            yield
        finally:
            next(steps, None)

    return made


@dataclass
class Place:
    """A server that is well, and what it stands on."""

    island: Island
    server: IslandServer
    authority: TestAuthority
    mail_disk: SmallDisk
    folder: Path

    def doctor(self) -> tuple[int, list[dict[str, Any]]]:
        """The exit code, and the findings."""
        done = self.server.command("doctor", "--json", check=False, seconds=200)
        assert done.stdout, done.stderr
        findings: list[dict[str, Any]] = json.loads(done.stdout)
        return done.returncode, findings

    def of(self, check: Check) -> list[dict[str, Any]]:
        """What one check says. The exit code must be that of the worst finding of all, and each has to be of use."""
        code, findings = self.doctor()
        states = {finding["state"] for finding in findings}
        assert code == (2 if "failure" in states else 1 if "warning" in states else 0)
        assert [one for one in findings if one["state"] != "ok" and not (one["why"] and one["advice"])] == []
        return [finding for finding in findings if finding["check"] == check]

    @contextmanager
    def called_by(self, *words: str) -> Iterator[None]:
        """The command line runs as the argument of another one."""
        before = self.server.program
        self.server.program = [*self.server.machine.command, *words, str(MAILU)]
        try:
            yield
        finally:
            self.server.program = before

    def in_place_of(self, file: str, stand_in: Path) -> AbstractContextManager[None]:
        """The command line sees another file in the place of one."""
        words = 'mount --bind "$0" "$1" && shift && exec "$@"'
        return self.called_by("unshare", "--mount", "sh", "-c", words, str(stand_in), file)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if not can_be_made():
        pytest.skip("no right to make network namespaces here, or no knot: ./mailu install --tests")
    island, authority = Island(), TestAuthority.make()
    try:
        island.start()
        island.clock_up()
        island.names.publish_elsewhere(SPAMHAUS)
        island.names.publish(absent=f"absent.test. 5 IN A {PREFIX}99\n")
        made = IslandServer(island, {"MESSAGE_RATELIMIT": "100000/day"})
        disk = SmallDisk(made.root / "mail", megabytes=DISK_MEGABYTES)
        try:
            authority.issue(made.root / "certs" / "given", MAIL)
            made.up()
            made.populate()
            island.publish(made.records())
            yield Place(island, made, authority, disk, tmp_path_factory.mktemp("doctor"))
        finally:
            made.down()
            disk.unmount()
            made.remove()
    finally:
        island.remove()


def test_a_server_that_is_well_is_told_so_by_every_check(place: Place) -> None:
    code, findings = until(lambda: found if (found := place.doctor())[0] == 0 else None, seconds=120, what="health")
    assert code == 0
    assert list(dict.fromkeys(one["check"] for one in findings)) == list(CHECKS)


Break = Callable[[Place], Iterator[None]]


@dataclass(frozen=True)
class Trouble:
    """What is broken while ``make`` lasts, and what the doctor then says."""

    check: Check
    state: State
    words: str
    make: Callable[[Place], AbstractContextManager[None]]

    def __str__(self) -> str:
        return f"{self.check}: {self.words}"


TROUBLES: list[Trouble] = []


def trouble(check: Check, state: State, words: str) -> Callable[[Break], Break]:
    """Registers how a check is made to say *words*; several for one break are told one after another."""

    def register(make: Break) -> Break:
        TROUBLES.append(Trouble(check, state, words, lasting(make)))
        return make

    return register


@trouble("settings", "failure", "ANTIVIRUS")
def wrong_settings(place: Place) -> Iterator[None]:
    place.server.write_settings(ANTIVIRUS="perhaps")
    yield
    place.server.write_settings(ANTIVIRUS=None)


@trouble("services", "failure", "does not run here")
@trouble("database", "failure", "start the services once")
def another_root(place: Place) -> Iterator[None]:
    root = place.folder / "another"
    root.mkdir(exist_ok=True)
    with place.called_by("env", f"ROOT={root}"):
        yield


@trouble("services", "failure", "imap does not answer")
@trouble("ports", "failure", "port 143 does not answer: timed out")
def hung_imap(place: Place) -> Iterator[None]:
    leader: int = place.server.service("imap")["pid"]
    os.killpg(leader, signal.SIGSTOP)
    yield
    with suppress(ProcessLookupError):  # the agent may have been faster
        os.killpg(leader, signal.SIGCONT)


@trouble("services", "warning", "smtp: ")
def wrong_override(place: Place) -> Iterator[None]:
    override = place.server.write_override("postfix/postfix.cf", "no_such_parameter = 1\n")
    yield
    override.unlink()


@lasting
def left(place: Place, share: float) -> Iterator[None]:
    ballast = place.server.root / "mail" / ".ballast"
    state = os.statvfs(ballast.parent)
    with ballast.open("wb") as stream:
        os.posix_fallocate(
            stream.fileno(), 0, int(state.f_bavail * state.f_frsize - share * state.f_blocks * state.f_frsize)
        )
    yield
    ballast.unlink()


@trouble("disk", "warning", "10% of the space of")
def little_room(place: Place) -> Iterator[None]:
    with left(place, 0.1):
        yield


@trouble("disk", "failure", "2% of the space of")
def no_room(place: Place) -> Iterator[None]:
    with left(place, 0.02):
        yield


@trouble("disk", "failure", "0% of the inodes of")
def no_inodes(place: Place) -> Iterator[None]:
    with place.mail_disk.without_inodes():
        yield


@trouble("inotify", "warning", "fs.inotify.max_user_instances is 128")
def few_watches(place: Place) -> Iterator[None]:
    (place.folder / "instances").write_text("128\n")
    with place.in_place_of("/proc/sys/fs/inotify/max_user_instances", place.folder / "instances"):
        yield


@trouble("secrets", "failure", "mailu.env can be read by everybody")
def open_secret(place: Place) -> Iterator[None]:
    place.server.env_file.chmod(0o644)
    yield
    place.server.env_file.chmod(0o600)


@lasting
def waiting(place: Place, number: int) -> Iterator[None]:
    with place.server.smtp(465, login=USER, password=PASSWORD) as connection:
        for each in range(number):
            connection.send_message(make_message(USER, ABSENT, subject=f"waits {each}"), USER, [ABSENT])
    yield
    place.server.command("queue", "delete", *(one["queue_id"] for one in place.server.queue()))


@trouble("queue", "warning", "200 messages wait")
def long_queue(place: Place) -> Iterator[None]:
    with waiting(place, 200):
        yield


@trouble("queue", "warning", f"1 messages wait, one for {HOURS} hours")
@trouble("clock", "failure", " s ahead")
def later(place: Place) -> Iterator[None]:
    library = jumping_clock.build(place.server.root)
    if library is None:
        pytest.skip("there is no C compiler")
    offset = place.server.root / "offset"  # where the command can read it after it gave up root's rights
    offset.write_text(f"{HOURS * 3600}\n")
    offset.chmod(0o644)
    variables = jumping_clock.environment(library, offset)
    with waiting(place, 1), place.called_by("env", *(f"{name}={value}" for name, value in variables.items())):
        yield


@trouble("queue", "warning", "the mail queue cannot be read")
def no_postqueue(place: Place) -> Iterator[None]:
    with place.in_place_of(shutil.which("postqueue") or "/usr/sbin/postqueue", Path("/bin/false")):
        yield


@lasting
def listening(place: Place, name: str) -> Iterator[None]:
    """Somebody of that name on port 25, beside Postfix."""
    words = [*place.server.machine.command, sys.executable, "-c", PRETENDER, name]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


@trouble("listeners", "failure", "port 25 on :: belongs to exim4")
def another_server(place: Place) -> Iterator[None]:
    with listening(place, "exim4"):
        yield


@trouble("proxy", "warning", "docker-proxy passes connections to port 25 on")
def docker_proxy(place: Place) -> Iterator[None]:
    with listening(place, "docker-proxy"):
        yield


@trouble("ports", "failure", "port 995 does not answer: ")
def closed_port(place: Place) -> Iterator[None]:
    """As a firewall does it."""
    with place.called_by("env", f"BIND_ADDRESS4={TIME_SERVER}"):
        yield


@trouble("resolver", "warning", "answers of DNS are not validated")
def no_dnssec(place: Place) -> Iterator[None]:
    server, names = place.server, place.island.names
    server.write_override("unbound/names.conf", names.unbound(validating=False))
    yield
    server.write_override("unbound/names.conf", names.unbound())


@trouble("resolver", "failure", "names are answered from memory")
@trouble("dns", "warning", "could not be looked up")
@trouble("egress", "warning", f"DNS does not answer about {HOST}")
@trouble("dnsbl", "warning", f"{BLOCK_LIST} does not answer")
def no_names(place: Place) -> Iterator[None]:
    place.island.names.stop()
    yield
    place.island.names.up()


@lasting
def certificate(place: Place, *names: str, days: float) -> Iterator[None]:
    certs = place.server.root / "certs"
    (certs / "given").rename(certs / ".put-away")
    shutil.rmtree(certs / "last-good", ignore_errors=True)
    if names:
        place.authority.issue(certs / "given", *names, days=days)
    yield
    shutil.rmtree(certs / "given", ignore_errors=True)
    (certs / ".put-away").rename(certs / "given")


@trouble("certificates", "failure", MAIL)
def no_certificate(place: Place) -> Iterator[None]:
    with certificate(place, days=0):
        yield


@trouble("certificates", "failure", "expired on")
def old_certificate(place: Place) -> Iterator[None]:
    with certificate(place, MAIL, days=0.01):
        yield


@trouble("certificates", "failure", MAIL)
def another_certificate(place: Place) -> Iterator[None]:
    with certificate(place, "other.mailu.test", days=60):
        yield


@trouble("certificates", "warning", "ends in 8 days")
def short_certificate(place: Place) -> Iterator[None]:
    with certificate(place, MAIL, days=9):
        yield


@lasting
def database(place: Place, harm: Callable[[bytearray], None]) -> Iterator[None]:
    """A copy of the database, harmed, in its place."""
    folder = place.server.root / "damaged"
    folder.mkdir(exist_ok=True)
    copy = folder / "main.db"
    copy.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(place.server.root / "data/main.db")) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    content = bytearray(copy.read_bytes())
    harm(content)
    copy.write_bytes(content)
    for path in (folder, copy):
        shutil.chown(path, "mailu", "mailu")
    with place.called_by("env", f"SQLALCHEMY_DATABASE_URI=sqlite:///{copy}"):
        yield


@trouble("database", "failure", "file is not a database")
def garbage(place: Place) -> Iterator[None]:
    def harm(content: bytearray) -> None:
        content[:] = b"garbage " * 1000

    with database(place, harm):
        yield


@trouble("database", "failure", "the database is damaged: ")
def damaged_page(place: Place) -> Iterator[None]:
    """One index is cut off; the tables can still be read."""

    def harm(content: bytearray) -> None:
        size = struct.unpack(">H", content[16:18])[0]
        with closing(sqlite3.connect(place.server.root / "damaged/main.db")) as copy:
            page = copy.execute("select rootpage from sqlite_master where type = 'index' order by 1 desc").fetchone()[0]
        content[(page - 1) * size : (page - 1) * size + 100] = bytes(100)

    with database(place, harm):
        yield


@trouble("relays", "warning", "mail for any address in backup.test is taken")
def relay_for_everybody(place: Place) -> Iterator[None]:
    place.server.command("relays", "set", "backup.test", "--recipients", "any")
    yield
    place.server.command("relays", "remove", "backup.test")


@trouble("smart-hosts", "failure", "[host.absent.test]:587 cannot be asked for its certificate")
def smart_host_that_is_away(place: Place) -> Iterator[None]:
    words = ("smart-host", DOMAIN)
    place.server.command(*words, "host.absent.test:587", "--user", "us", given="secret of ours\n")
    yield
    place.server.command(*words, "--none")


@trouble("exceptions", "warning", "mail to there.test needs no more than the TLS level may until")
def less_encryption(place: Place) -> Iterator[None]:
    place.server.command("tls-exceptions", "allow", "there.test", "--because", "their certificate is old")
    yield
    place.server.command("tls-exceptions", "end", "there.test")


def without(records: str, mark: str) -> str:
    kept = [line for line in records.splitlines(True) if mark not in line]
    assert len(kept) < len(records.splitlines())
    return "".join(kept)


@lasting
def records(place: Place, change: Callable[[str], str], *, pointer: str = MAIL) -> Iterator[None]:
    right = place.server.records()
    place.island.publish(change(right), pointer=pointer)
    yield
    place.island.publish(right)


@trouble("dns", "failure", f"dkim._domainkey.{DOMAIN} TXT is missing")
def no_key_record(place: Place) -> Iterator[None]:
    with records(place, lambda right: without(right, "dkim._domainkey")):
        yield


@trouble("dns", "warning", f"autoconfig.{DOMAIN} CNAME is missing")
def no_autoconfig(place: Place) -> Iterator[None]:
    with records(place, lambda right: without(right, "autoconfig")):
        yield


@trouble("dns", "failure", f"{DOMAIN} MX is wrong, found 10 elsewhere.test.")
def foreign_exchanger(place: Place) -> Iterator[None]:
    with records(place, lambda right: right.replace(f"MX 10 {MAIL}.", "MX 10 elsewhere.test.")):
        yield


@trouble("dns", "failure", f"{DOMAIN} TXT is wrong")
@trouble("egress", "failure", f"the SPF record does not allow {HOST}")
def foreign_spf(place: Place) -> Iterator[None]:
    with records(place, lambda right: right.replace("v=spf1 mx", "v=spf1").replace(f"a:{MAIL}", "ip4:192.0.2.1")):
        yield


@trouble("egress", "failure", f"{HOST} has no name (PTR)")
def no_pointer(place: Place) -> Iterator[None]:
    with records(place, str, pointer=""):
        yield


@trouble("egress", "warning", f"{HOST} is called host.provider.test, not {MAIL}")
def providers_pointer(place: Place) -> Iterator[None]:
    with records(place, str, pointer="host.provider.test"):
        yield


@trouble("egress", "warning", "it is not known from which address mail leaves")
def private_address(place: Place) -> Iterator[None]:
    with place.called_by("env", "BIND_ADDRESS4=127.0.0.1"):
        yield


@lasting
def spamhaus(place: Place, text: str) -> Iterator[None]:
    place.island.names.publish_elsewhere(text)
    yield
    place.island.names.publish_elsewhere(SPAMHAUS)


@trouble("dnsbl", "failure", f"{BLOCK_LIST} refuses to answer (127.255.255.254)")
def refusing_list(place: Place) -> Iterator[None]:
    with spamhaus(place, SPAMHAUS.replace("127.0.0.2\n", "127.255.255.254\n")):
        yield


@trouble("dnsbl", "warning", f"{BLOCK_LIST} does not know its own test entry")
def empty_list(place: Place) -> Iterator[None]:
    with spamhaus(place, ""):
        yield


@trouble("dnsbl", "failure", f"{HOST} is on the list {BLOCK_LIST} (127.0.0.4)")
def listed_address(place: Place) -> Iterator[None]:
    with spamhaus(place, f"{SPAMHAUS}{TURNED}.{BLOCK_LIST}. 5 IN A 127.0.0.4\n"):
        yield


@trouble("clock", "warning", "no time server answers")
def no_clock(place: Place) -> Iterator[None]:
    place.island.clock_down()
    yield
    place.island.clock_up()


def test_no_check_is_without_a_scenario() -> None:
    assert {one.check for one in TROUBLES} == set(CHECKS)


@pytest.mark.parametrize("one", TROUBLES, ids=str)
def test_a_check_says_what_is_wrong_and_passes_when_it_is_mended(place: Place, one: Trouble) -> None:
    with one.make(place):
        until(lambda: [finding for finding in place.of(one.check) if _is(one, finding)], seconds=120, what=str(one))
    until(lambda: all(finding["state"] == "ok" for finding in place.of(one.check)), seconds=120, what="health")


def _is(one: Trouble, finding: dict[str, Any]) -> bool:
    return finding["state"] == one.state and one.words in finding["what"]


def test_every_record_that_should_be_there_is_missed(place: Place) -> None:
    wanted = {tuple(line.split()[index] for index in (0, 3)) for line in place.server.records().splitlines()}
    with records(place, lambda _right: ""):

        def missed() -> bool:
            found = " ".join(finding["what"] for finding in place.of("dns"))
            # What is not there need not be said not to be.
            return [one for one in wanted if f"{one[0].rstrip('.')} {one[1]} is missing" not in found] == []

        until(missed, seconds=120, what="all of them")


def test_a_smart_host_answers_for_its_own_address(place: Place) -> None:
    with records(place, str, pointer=""), place.called_by("env", "RELAYHOST=[smart.test]:587"):
        found = until(lambda: place.of("egress"), what="words about it")
    assert [(one["state"], "smart.test" in one["what"]) for one in found] == [("ok", True)]


def test_ports_behind_a_balancer_are_not_asked_for_their_greeting(place: Place) -> None:
    server = place.server
    server.write_settings(PROXY_PROTOCOL="25,143,443", REAL_IP_FROM="192.0.2.7")
    server.command("apply", seconds=200)
    with server.machine.here(), pytest.raises((OSError, smtplib.SMTPException)):
        smtplib.SMTP(HOST, 25, timeout=5)
    try:
        until(lambda: {one["state"] for one in place.of("ports")} == {"ok"}, seconds=60, what="no alarm")
    finally:
        server.write_settings(PROXY_PROTOCOL=None, REAL_IP_FROM=None)
        server.command("apply", seconds=200)


def test_people_read_one_line_for_each_finding(place: Place) -> None:
    with no_pointer_for_people(place):
        text = until(lambda: _line(place, "egress"), seconds=120, what="a line")
    assert text == (
        f"FAILURE  egress: {HOST} has no name (PTR). Many servers refuse its mail. Have the provider set it to {MAIL}."
    )


no_pointer_for_people = lasting(no_pointer)


def _line(place: Place, words: str) -> str | None:
    said = place.server.command("doctor", check=False, seconds=200).stdout
    return next((line for line in said.splitlines() if line.startswith("FAILURE") and words in line), None)
