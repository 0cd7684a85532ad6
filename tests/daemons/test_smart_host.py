"""A smart host that gets a password is who it says it is: one whole server sends by way of another's Postfix."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemons.conftest import NETWORK
from tests.daemons.server import DOMAIN, PASSWORD, USER, Server, until
from tests.daemons.tls_client import leaf
from tests.pki import TestAuthority

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ADDRESS, FAR_ADDRESS = f"{NETWORK}.26", f"{NETWORK}.27"
FAR = "far.test"
HOST = f"smart.{FAR}"
LOGIN, RECIPIENT = f"user@{FAR}", f"other@{FAR}"
REASON = "Server certificate not verified: it is for another name, or nobody known here vouches for it"
NAMES = f"""server:
    local-zone: "." static
    local-data: ". 3600 IN SOA a.test. nobody.test. 1 3600 3600 3600 3600"
    local-data: "{DOMAIN}. 60 IN A {ADDRESS}"
    local-data: "{DOMAIN}. 60 IN MX 10 mail.{DOMAIN}."
    local-data: "mail.{DOMAIN}. 60 IN A {ADDRESS}"
    local-data: "{FAR}. 60 IN MX 10 {HOST}."
    local-data: "{HOST}. 60 IN A {FAR_ADDRESS}"
"""


@pytest.fixture(scope="module")
def authority() -> TestAuthority:
    return TestAuthority.make()


@pytest.fixture(scope="module")
def far() -> Iterator[Server]:
    """The smart host, with a self-signed certificate to begin with. Who logs in may be anybody."""
    settings = {"HOSTNAMES": HOST, "WILDCARD_SENDERS": LOGIN, "WEBMAIL": "none"}
    yield from running(Server(FAR_ADDRESS, settings, domain=FAR))


@pytest.fixture(scope="module")
def server(far: Server, authority: TestAuthority) -> Iterator[Server]:
    """Whose mail for others goes there. It trusts an authority of our own in the place of the world's."""
    relay = {"RELAYHOST": f"[{HOST}]:587", "RELAYUSER": LOGIN, "RELAYPASSWORD": PASSWORD}
    made = Server(ADDRESS, {**relay, "WEBMAIL": "none", "DELAY_NOTICE": "0"})
    (made.root / "ca.pem").write_bytes(authority.pem())
    made.write_override("postfix/postfix.cf", f"smtp_tls_CAfile = {made.root}/ca.pem\n")
    yield from running(made)


def running(server: Server) -> Iterator[Server]:
    """Up, with the people of all tests."""
    server.write_override("unbound/names.conf", NAMES)
    try:
        server.up()
        server.populate()
        yield server
    finally:
        server.remove()


def shows(far: Server, authority: TestAuthority, name: str | None) -> None:
    """Let the smart host have a certificate for *name*; None for the one that it signed itself."""
    folder = far.root / "certs" / "one"
    if name is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        authority.issue(folder, name)
    before = leaf(FAR_ADDRESS, 587, HOST).serial_number
    far.command("apply", seconds=200)

    def right() -> bool:
        found = [leaf(FAR_ADDRESS, port, HOST) for port in (587, 465)]
        issued = {one.issuer == authority.certificate.subject for one in found}
        return issued == {name is not None} and (name is None or found[0].serial_number != before)

    until(right, seconds=30, what=f"the certificate for {name}")


def send(server: Server, subject: str) -> None:
    server.send(RECIPIENT, subject=subject)


def waits(server: Server) -> None:
    """Everything waits because of the certificate, and the queue says so."""

    def said() -> bool:
        queue = json.loads(server.command("queue", "list", "--json").stdout)
        reasons = [each.get("delay_reason", "") for one in queue for each in one["recipients"]]
        return bool(reasons) and all(REASON in each for each in reasons)

    until(said, seconds=60, what="mail that waits")


def arrives(server: Server, far: Server, subject: str) -> None:
    """Within some attempts, since what was changed is known to the directory a second later."""

    def arrived() -> bool:
        server.command("queue", "retry")
        time.sleep(2)
        return any(message["Subject"] == subject for message in far.messages(RECIPIENT))

    until(arrived, seconds=60, what=f"the arrival of {subject!r}")
    until(lambda: json.loads(server.command("queue", "list", "--json").stdout) == [], what="an empty queue")


def log_ins(far: Server) -> int:
    """How often somebody logged in to send."""
    return far.log_text("smtp").count(f"sasl_username={LOGIN}")


def way_of(server: Server, sender: str) -> str:
    """What Postfix is told of the smart host for a sender."""
    table = f"socketmap:unix:{server.root}/run/lookups/map:sender-transport"
    command = ["/usr/sbin/postmap", "-c", f"{server.root}/run/smtp/etc", "-q", sender, table]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def examined(server: Server) -> dict[str, Any]:
    """What the doctor says of smart hosts."""
    found = json.loads(server.command("doctor", "--json", check=False, seconds=200).stdout)
    (one,) = [one for one in found if one["check"] == "smart-hosts"]
    return dict(one)


def test_who_cannot_prove_to_be_the_smart_host_gets_neither_mail_nor_password(
    server: Server, far: Server, authority: TestAuthority
) -> None:
    send(server, "self-signed")
    waits(server)
    found = examined(server)
    assert (found["state"], "does not prove who it is" in found["what"]) == ("failure", True), found
    assert "self-signed" in found["what"].replace("self signed", "self-signed")
    shows(far, authority, f"other.{FAR}")
    before = server.log_text("smtp").count(REASON)
    server.command("queue", "retry")
    until(lambda: server.log_text("smtp").count(REASON) > before, what="another attempt")
    assert f"its certificate is for other.{FAR}" in examined(server)["what"]
    assert log_ins(far) == 0
    shows(far, authority, HOST)
    arrives(server, far, "self-signed")
    assert log_ins(far) == 1
    assert examined(server)["state"] == "ok"


def test_a_domain_is_the_smart_host_when_its_mx_proves_to_be_of_it(
    server: Server, far: Server, authority: TestAuthority
) -> None:
    """Who answers DNS cannot lead the password elsewhere: the certificate is for the name that the settings have."""
    server.write_settings(RELAYHOST=f"{FAR}:587")
    server.command("apply", seconds=200)
    shows(far, authority, f"smart.{DOMAIN}")
    send(server, "by MX")
    waits(server)
    assert examined(server)["state"] == "failure"
    shows(far, authority, HOST)
    arrives(server, far, "by MX")
    assert examined(server)["state"] == "ok"
    server.write_settings(RELAYHOST=f"[{HOST}]:587")
    server.command("apply", seconds=200)


def test_an_exception_lets_any_certificate_do_until_it_ends(
    server: Server, far: Server, authority: TestAuthority
) -> None:
    shows(far, authority, None)
    send(server, "by exception")
    waits(server)
    server.command("tls-exceptions", "allow", HOST, "--level", "encrypt", "--because", "they are renewing it")
    arrives(server, far, "by exception")
    found = examined(server)
    assert (found["state"], "is sent to whoever answers" in found["what"]) == ("warning", True), found
    server.command("tls-exceptions", "end", HOST)
    send(server, "after the exception")
    waits(server)


def test_a_setting_lets_any_certificate_do_for_good(server: Server, far: Server) -> None:
    server.write_settings(OUTBOUND_TLS_DESTINATIONS=f"{HOST}:encrypt")
    server.command("apply", seconds=200)
    arrives(server, far, "after the exception")
    assert examined(server)["state"] == "warning"
    server.write_settings(OUTBOUND_TLS_DESTINATIONS=None)
    server.command("apply", seconds=200)


@pytest.mark.parametrize("port", [587, 465])
def test_the_smart_host_of_a_domain_proves_who_it_is_too(
    server: Server, far: Server, authority: TestAuthority, port: int
) -> None:
    server.command("smart-host", DOMAIN, f"{HOST}:{port}", "--user", LOGIN, given=f"{PASSWORD}\n")
    way = f"smart-host{'-tls' if port == 465 else ''}"
    until(lambda: way_of(server, USER) == f"{way}:[{HOST}]:{port}", what="the way of the domain")
    shows(far, authority, f"other.{FAR}")
    before = log_ins(far)
    # Postfix remembers for half a minute which way it took with the last pair of sender and recipient.
    server.send(RECIPIENT.replace("@", f"+{port}@"), subject=f"by port {port}", sender=USER)
    waits(server)
    assert log_ins(far) == before
    shows(far, authority, HOST)
    arrives(server, far, f"by port {port}")
    assert f"postfix/{way}/smtp" in server.log_text("smtp")
    assert examined(server)["state"] == "ok"
    server.command("smart-host", DOMAIN, "--none")
    until(lambda: way_of(server, USER) == "", what="the way of all")
