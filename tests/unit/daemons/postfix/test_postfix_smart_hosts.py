"""Each sending domain may have a smart host and a log-in of its own, and no password reaches anybody else."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session
from tests.unit.daemons.postfix.neighbours import Inbox
from tests.unit.daemons.postfix.stage import NAMES, PASSWORD, Stage, address, people

from mailu.auth.passwords import hash_password
from mailu.directory.changes import SYSTEM, create_domain, create_relay, create_user, update_domain

pytestmark = pytest.mark.daemons

SHARED, IMPLICIT, PLAIN, FOR_ALL, PARTNER, OPEN, UNKNOWN = (address(number) for number in (46, 47, 48, 49, 45, 44, 43))
ENOUGH = f"[{SHARED}]:2587 encrypt\n[{IMPLICIT}]:465 encrypt\n"
"""They are called by address, which no certificate proves."""


def domains(session: Session) -> None:
    """example.com and example.net log in at the same host; the others at one with TLS from the first byte, at one
    without TLS, at one that does not prove who it is, and nowhere; for open.example encryption is all that is needed.
    """
    people(session)
    hashed = hash_password(PASSWORD)
    for name in (
        "example.net", "implicit.example", "plain.example", "usual.example", "open.example", "unknown.example",
    ):  # fmt: skip
        create_domain(session, name, actor=SYSTEM)
        create_user(session, f"nora@{name}", password_hash=hashed, actor=SYSTEM)
    create_relay(session, "partner.example", smtp=f"{PARTNER}:2525", recipients="any", actor=SYSTEM)
    for name, host, user in (
        ("example.com", f"{SHARED}:2587", "com"),
        ("example.net", f"{SHARED}:2587", "net"),
        ("implicit.example", f"{IMPLICIT}:465", "implicit"),
        ("plain.example", f"{PLAIN}:2587", "plain"),
        ("unknown.example", f"{UNKNOWN}:2587", "unknown"),
    ):
        login = {"relayuser": user, "relaypassword": f"pass: {user}"}
        update_domain(session, name, relayhost=host, actor=SYSTEM, **login)  # type: ignore[arg-type]
    update_domain(session, "open.example", relayhost=f"{OPEN}:2587", actor=SYSTEM)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A server with a smart host for all, and for some domains another."""
    with Stage(
        bind_address4=address(19),
        overrides={"transport.map": "# none\n", "tls_policy.map": ENOUGH},
        populate=domains,
        relayhost=f"[{FOR_ALL}]:2525",
    ) as standing:
        yield standing


@pytest.fixture(scope="module")
def hosts(stage: Stage) -> dict[str, Inbox]:
    """All the servers mail can go to; each of them would take a log-in."""
    context, neighbours = server_tls(stage.root / "certs"), stage.neighbours
    auth = ("AUTH PLAIN",)
    return {
        "shared": neighbours.smtp(SHARED, 2587, start_tls=context, more=auth)[0],
        "implicit": neighbours.smtp(IMPLICIT, 465, tls=context, more=auth)[0],
        "plain": neighbours.smtp(PLAIN, 2587, more=auth)[0],
        "open": neighbours.smtp(OPEN, 2587, start_tls=context, more=auth)[0],
        "unknown": neighbours.smtp(UNKNOWN, 2587, start_tls=context, more=auth)[0],
        "for all": neighbours.smtp(FOR_ALL, 2525, start_tls=context, more=auth)[0],
        "partner": neighbours.smtp(PARTNER, 2525, start_tls=context, more=auth)[0],
    }


def server_tls(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{NAMES[0]}.pem", folder / f"{NAMES[0]}.key")
    return context


def send(stage: Stage, sender: str, word: str, recipient: str = "x@anywhere.example") -> None:
    with stage.logged_in(sender) as client:
        body = f"Subject: {word}\r\n\r\nx\r\n".encode()
        assert client.mail(sender, recipient, body=body).startswith("250")


def test_two_domains_log_in_as_themselves_at_the_same_host(stage: Stage, hosts: dict[str, Inbox]) -> None:
    """One right after another, so that a connection that is kept open would be taken by the wrong one."""
    for number in range(6):
        send(stage, ("ann@example.com", "nora@example.net")[number % 2], f"in turn {number}.")
    for number in range(6):
        found = hosts["shared"].wait(f"in turn {number}.")
        assert found.login == ("com:pass: com", "net:pass: net")[number % 2]


def test_a_host_with_tls_from_the_first_byte_is_logged_in_to(stage: Stage, hosts: dict[str, Inbox]) -> None:
    send(stage, "nora@implicit.example", "tls first")
    assert hosts["implicit"].wait("tls first").login == "implicit:pass: implicit"


def test_without_tls_mail_waits_and_the_password_stays_here(stage: Stage, hosts: dict[str, Inbox]) -> None:
    send(stage, "nora@plain.example", "no tls")
    stage.hear("TLS is required, but was not offered")
    assert (hosts["plain"].log_ins, hosts["plain"].deliveries) == ([], [])


def test_who_does_not_prove_to_be_the_host_gets_neither_mail_nor_password(
    stage: Stage, hosts: dict[str, Inbox]
) -> None:
    send(stage, "nora@unknown.example", "to whom?")
    stage.hear(
        "dsn=4.7.5, status=deferred"
        " (Server certificate not verified: it is for another name, or nobody known here vouches for it)"
    )
    assert (hosts["unknown"].log_ins, hosts["unknown"].deliveries) == ([], [])


def test_a_host_without_a_log_in_need_not_prove_who_it_is_and_is_shown_none(
    stage: Stage, hosts: dict[str, Inbox]
) -> None:
    send(stage, "nora@open.example", "in the open")
    assert hosts["open"].wait("in the open").login == ""
    assert "postfix/smart-host-open/smtp" in stage.words()


def test_a_domain_without_one_takes_the_way_of_all(stage: Stage, hosts: dict[str, Inbox]) -> None:
    send(stage, "nora@usual.example", "as usual")
    assert hosts["for all"].wait("as usual").login == ""


def test_nobody_but_the_smart_host_is_shown_the_password(stage: Stage, hosts: dict[str, Inbox]) -> None:
    """A relayed domain has a way of its own, and its server could ask for a log-in."""
    send(stage, "ann@example.com", "to a partner", "somebody@partner.example")
    assert hosts["partner"].wait("to a partner").login == ""
    assert hosts["partner"].log_ins == []


def test_forwarded_mail_has_a_sender_of_the_main_domain_and_goes_its_way(stage: Stage, hosts: dict[str, Inbox]) -> None:
    with stage.connect() as client:
        body = b"Subject: forwarded\r\n\r\nx\r\n"
        assert client.mail("stranger@remote.example", "away@example.com", body=body).startswith("250")
    found = hosts["shared"].wait("forwarded")
    assert found.sender.startswith("SRS0=")
    assert found.login == "com:pass: com"


def test_no_password_is_in_the_log_or_the_configuration(stage: Stage, hosts: dict[str, Inbox]) -> None:
    assert "pass: " not in stage.words()
    assert "pass: " not in (stage.root / "directory.log").read_text()
    configuration = stage.places.service("smtp") / "etc"
    assert not [path for path in configuration.rglob("*") if path.is_file() and b"pass: " in path.read_bytes()]
