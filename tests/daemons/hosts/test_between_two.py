"""Mail between two servers of ours that find each other by a signed DNS: DANE, MTA-STS, signatures."""

from __future__ import annotations

import re
import threading
from collections import Counter

import dkim
import pytest

from tests.daemons.hosts.world import HostedServer, World
from tests.daemons.server import until

pytestmark = pytest.mark.timeout(900)


def verified(server: HostedServer, host: str) -> int:
    """How often *server* met a certificate at *host* that was promised."""
    return server.log_text("smtp").count(f"Verified TLS connection established to {host}[")


def test_mail_goes_both_ways_by_mx_and_dane_vouches_for_it(world: World, a: HostedServer, b: HostedServer) -> None:
    for here, there, letter in ((a, b, "b"), (b, a, "a")):
        assert f"_25._tcp.mail.{there.domain}. 86400 IN TLSA {world.pins[letter]}\n" in there.records()
        before, subject = verified(here, f"mail.{there.domain}"), f"from {here.domain} to {there.domain}"
        here.send(f"user@{there.domain}", sender=f"user@{here.domain}", subject=subject)
        there.wait_for_message(f"user@{there.domain}", subject=subject)
        assert verified(here, f"mail.{there.domain}") == before + 1


def test_both_signatures_pass_at_the_receiver_and_for_dkimpy(world: World, a: HostedServer, b: HostedServer) -> None:
    a.send("user@b.test", sender="user@a.test", subject="signed")
    results = b.wait_for_message("user@b.test", subject="signed")["Authentication-Results"]
    passed = re.findall(r"(spf|dkim|dmarc)=(\w+)", results)
    assert Counter(passed) == Counter({("spf", "pass"): 1, ("dkim", "pass"): 2, ("dmarc", "pass"): 1}), results
    raw = next(each for each in b.raw_messages("user@b.test") if b"Subject: signed\r\n" in each)
    assert verdicts(world, raw) == {"rsa-sha256": True, "ed25519-sha256": True}


def verdicts(world: World, raw: bytes) -> dict[str, bool]:
    """What dkimpy says of each signature, by its algorithm."""
    found = {}
    for index, value in enumerate(re.findall(rb"^DKIM-Signature:[^;]*;\s*a=([a-z0-9-]+)", raw, re.MULTILINE)):
        found[value.decode()] = bool(dkim.DKIM(raw).verify(idx=index, dnsfunc=world.names.text))
    return found


def test_a_pin_that_does_not_fit_keeps_mail_waiting_and_says_why(
    world: World, a: HostedServer, b: HostedServer
) -> None:
    records = b.records()
    world.names.publish(b=records.replace(world.pins["b"], f"3 1 1 {64 * '0'}"))
    try:
        subject, why = a.send_until_one_waits(b, "user@b.test", "wrong pin")
        assert "Server certificate not verified" in why
        assert not b.has("user@b.test", subject)
    finally:
        world.names.publish(b=records)
    a.deliver(b, "user@b.test", subject)


def test_a_policy_without_dane_is_obeyed(world: World, a: HostedServer, b: HostedServer) -> None:
    publish_with_policy(world, b, "sts.test", "in.b.test")
    before = verified(a, "in.b.test")
    a.send("user@sts.test", sender="user@a.test", subject="by policy")
    b.wait_for_message("user@sts.test", subject="by policy")
    assert verified(a, "in.b.test") == before + 1


def test_mail_waits_when_the_certificate_does_not_fit_the_policy(
    world: World, a: HostedServer, b: HostedServer, c: HostedServer
) -> None:
    publish_with_policy(world, b, "unfit.test", "mx.b.test")
    right = f"mx.b.test. 60 IN A {b.address}\n"
    world.names.publish(b_mx=right.replace(b.address, c.address))
    try:
        subject, why = a.send_until_one_waits(b, "user@unfit.test", "to the right one")
        assert "Server certificate not verified" in why
        before = verified(a, "mx.b.test")
    finally:
        world.names.publish(b_mx=right)
    a.deliver(b, "user@unfit.test", subject)
    assert verified(a, "mx.b.test") == before + 1


def publish_with_policy(world: World, server: HostedServer, domain: str, host: str) -> None:
    """A domain that enforces a policy, with *host* as its MX."""
    server.add_user("user", domain=domain)
    server.command("mta-sts", domain, "enforce")
    records = server.records(domain).replace("MX 10 mail.b.test.", f"MX 10 {host}.")
    assert f"{domain}. 600 IN MX 10 {host}." in records
    own = [line for line in records.splitlines(True) if line.split()[0].removesuffix(".").endswith(domain)]
    world.names.publish(**{domain.partition(".")[0]: "".join(own)})


def test_no_signature_fails_while_keys_are_rotated_under_mail(world: World, a: HostedServer, b: HostedServer) -> None:
    with MailAllTheTime(b, "user@b.test", "user@a.test") as mail:
        mail.wait_for(3)
        said = b.command("dkim", "rotate", "b.test").stdout
        new = set(re.findall(r"^(\S+)\._domainkey", said, re.MULTILINE))
        assert len(new) == 2
        assert "not every name server answers" in b.command("dkim", "advance", "b.test").stdout
        mail.wait_for(3)
        world.names.publish(b=b.records())
        b.command("dkim", "advance", "b.test")
        mail.wait_for(5)
    seen: set[str] = set()
    for number in range(mail.sent):
        message = a.wait_for_message("user@a.test", subject=f"all the time {number}")
        results = message["Authentication-Results"]
        assert results.count("dkim=pass") == 2, results
        assert "dkim=fail" not in results
        seen |= set(re.findall(r"header\.s=(\S+)", results))
    assert seen == {"dkim", "dkim-ed25519"} | new
    last = re.findall(r"header\.s=(\S+)", results)
    assert set(last) == new


class MailAllTheTime:
    """Sends one message after another while the block runs."""

    def __init__(self, server: HostedServer, sender: str, recipient: str) -> None:
        self._server, self._sender, self._recipient = server, sender, recipient
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0
        self._failure: BaseException | None = None

    def __enter__(self) -> MailAllTheTime:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._thread.join(60)
        if self._failure is not None:
            raise AssertionError("sending failed") from self._failure

    def wait_for(self, more: int) -> None:
        """Until that many more have been sent."""
        wanted = self.sent + more
        until(lambda: self.sent >= wanted or self._failure, seconds=90, what=f"message {wanted}")

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                subject = f"all the time {self.sent}"
                self._server.send(self._recipient, sender=self._sender, subject=subject)
                self.sent += 1
                self._end.wait(0.3)
        except BaseException as error:
            self._failure = error
