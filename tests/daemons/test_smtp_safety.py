"""Nobody misuses the server to send, and forwarded mail finds its way back: on the whole stack."""

from __future__ import annotations

import contextlib
import socket

import pytest

from tests.daemons.conftest import NETWORK, NewServer
from tests.daemons.conversation import WILDCARD_SENDER, api, elsewhere, smtp_words, wait_for_recipient
from tests.daemons.server import ADMIN, OTHER, STRANGER, USER, Server, until

FAR = "far@example.net"
ROUTES = (
    FAR,
    "far%example.net@{domain}",
    "example.net!far@{domain}",
    '"far@example.net"@{domain}',
    '"far@example.net"',
    "@{domain}:" + FAR,
    "far@example.net@{domain}",
    "far@[192.0.2.1]",
    "far",
)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("source", ["127.0.0.1", f"{NETWORK}.10", f"{NETWORK}.99"])
def test_no_route_leads_out_without_a_log_in(stack: Server, route: str, source: str) -> None:
    with smtp_words(stack.address, source=source) as client:
        client.say(f"MAIL FROM:<{USER}>")
        code, text = client.say(f"RCPT TO:<{route.format(domain=stack.domain)}>")
    assert 500 <= code < 600, text


@pytest.mark.parametrize("port", [465, 587])
def test_a_wrong_password_opens_nothing(stack: Server, port: int) -> None:
    with smtp_words(stack.address, port) as client:
        if port == 587:
            client.start_tls()
            client.say("EHLO client.example.org")
        assert client.log_in(USER, "wrong")[0] == 535
        client.say(f"MAIL FROM:<{USER}>")
        assert client.say(f"RCPT TO:<{FAR}>")[0] == 530


def test_who_may_send_as_whom(stack: Server) -> None:
    """Own addresses, aliases that lead to one, details; of others only where that is allowed."""
    stack.command("alias", "sales", stack.domain, USER)
    elsewhere = stack.add_user("somebody", domain="second.test")
    wait_for_recipient(stack, elsewhere)
    own = [USER, f"user+shop@{stack.domain}", f"sales@{stack.domain}", f"sales+x@{stack.domain}"]
    foreign = [ADMIN, elsewhere, "somebody@example.net", ""]
    assert {sender: _takes(stack, USER, sender) for sender in [*own, *foreign]} == {
        sender: sender in own for sender in [*own, *foreign]
    }
    assert all(_takes(stack, WILDCARD_SENDER, sender) for sender in foreign)
    api(stack, "PATCH", f"/user/{USER}", allow_spoofing=True)
    try:
        until(lambda: _takes(stack, USER, ADMIN), what="the right to every address of the domain")
        assert not any(_takes(stack, USER, sender) for sender in foreign if sender != ADMIN)
    finally:
        api(stack, "PATCH", f"/user/{USER}", allow_spoofing=False)


def _takes(stack: Server, login: str, sender: str) -> bool:
    """Whether *login* may send as *sender*; where not, the refusal names both and what is allowed."""
    with smtp_words(stack.address, 465) as client:
        assert client.log_in(login)[0] == 235
        client.say(f"MAIL FROM:<{sender}>")
        code, text = client.say(f"RCPT TO:<{OTHER}>")
    if code == 250:
        return True
    assert code == 553, f"{code} {text}"
    assert f"you are logged in as {login} and cannot send as <{sender}>" in text
    assert f"may send as {login}" in text
    return False


def test_a_log_in_on_port_25_is_told_where_log_ins_are_taken(stack: Server) -> None:
    with smtp_words(stack.address) as client:
        code, text = client.log_in(USER)
    assert code == 503
    assert "use port 465" in text


@pytest.mark.parametrize("end", [b"\n.\r\n", b"\r\n.\n", b"\n.\n", b"\r.\r\n", b"\r.\r", b"\n.\r", b"\r\n.\r"])
def test_a_second_message_cannot_be_smuggled(stack: Server, end: bytes) -> None:
    word = f"outer {end.hex()}"
    with smtp_words(stack.address) as client:
        client.say(f"MAIL FROM:<{STRANGER}>")
        client.say(f"RCPT TO:<{OTHER}>")
        assert client.say("DATA")[0] == 354
        inner = (
            f"MAIL FROM:<{ADMIN}>\r\nRCPT TO:<{OTHER}>\r\nDATA\r\nSubject: smuggled {end.hex()}\r\n\r\nx\r\n".encode()
        )
        client.send(f"From: {STRANGER}\r\nSubject: {word}\r\n\r\nfirst".encode() + end + inner + b".\r\n")
        client.hear()
        client.say("QUIT")
    stack.send(OTHER, subject=f"after {end.hex()}")
    stack.wait_for_message(OTHER, subject=f"after {end.hex()}")
    assert not [message for message in stack.messages(OTHER) if message["Subject"] == f"smuggled {end.hex()}"]


def test_a_proxy_header_from_anybody_is_not_believed(stack: Server) -> None:
    with socket.create_connection((stack.address, 25), 20) as connection:
        connection.sendall(b"PROXY TCP4 192.0.2.99 192.0.2.98 1234 25\r\nEHLO client.example.org\r\n")
        connection.settimeout(5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while connection.recv(4096):
                pass
    assert "connect from" in stack.log_text("smtp")
    assert "[192.0.2.99]" not in stack.log_text("smtp")


def test_forwarded_mail_leaves_as_ours_stays_as_theirs_and_bounces_back(new_server: NewServer) -> None:
    with elsewhere(f"{NETWORK}.90") as (port, envelopes):
        server = new_server({})
        server.write_override(
            "postfix/transport.map", f"example.net smtp:[{NETWORK}.90]:{port}\nexample.org smtp:[{NETWORK}.90]:{port}\n"
        )
        server.up()
        server.populate()
        server.command("alias", "away", server.domain, f"{FAR},user@{server.domain}")
        wait_for_recipient(server, f"away@{server.domain}")
        sender = "Some.Body+Token=X@example.org"
        server.send(f"away@{server.domain}", sender=sender, subject="forwarded", port=25)
        rewritten, recipient = until(lambda: next(iter(envelopes), None), what="the forwarded message")
        assert recipient == FAR
        assert rewritten.startswith("SRS0=")
        assert rewritten.endswith(f"=example.org=Some.Body+Token=X@{server.domain}")
        stayed = server.wait_for_message(USER, subject="forwarded")
        assert stayed["Return-Path"] == f"<{sender}>"
        server.send(rewritten, sender="", subject="bounce", port=25)
        assert until(lambda: envelopes[1:] and envelopes[1], what="the bounce") == ("", sender)


def test_behind_a_balancer_only_the_balancer_speaks_for_others(new_server: NewServer) -> None:
    balancer = f"{NETWORK}.98"
    server = new_server({"PROXY_PROTOCOL": "25", "REAL_IP_FROM": balancer, "RELAYNETS": "198.51.100.0/24"})
    server.up()
    server.populate()
    forged = b"PROXY TCP4 198.51.100.4 192.0.2.1 50000 25\r\n"
    with (
        pytest.raises(AssertionError, match=r"421 4\.7\.0"),
        smtp_words(server.address, source=f"{NETWORK}.97", prefix=forged),
    ):
        raise RuntimeError("a forged header was taken")
    with smtp_words(server.address, source=balancer, prefix=forged.replace(b"198.51.100.4", b"203.0.113.9")) as client:
        client.say(f"MAIL FROM:<{STRANGER}>")
        assert client.say(f"RCPT TO:<{FAR}>")[0] == 554
        assert client.say(f"RCPT TO:<{USER}>")[0] == 250
    server.send(OTHER, subject="on another port")
    server.wait_for_message(OTHER, subject="on another port")
