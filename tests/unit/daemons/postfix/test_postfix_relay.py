"""Nobody sends to others without a log-in, however the recipient is written and wherever the client is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from tests.unit.daemons.postfix.dialogue import Dialogue
from tests.unit.daemons.postfix.stage import Stage, address, networks

pytestmark = pytest.mark.daemons

ROUTES = (
    "victim@remote.example",
    "victim%remote.example@example.com",
    "remote.example!victim@example.com",
    "victim@remote.example@example.com",
    '"victim@remote.example"@example.com',
    '"victim%remote.example"@example.com',
    "@example.com:victim@remote.example",
    "@example.com,@remote.example:victim@remote.example",
    "victim%remote.example",
    "remote.example!victim",
    '"victim@remote.example"',
    "victim@remote.example@",
    "victim@[127.0.0.1]",
    "victim%remote.example@[{own}]",
    "victim%remote.example@mail.example.com",
    "victim@sub.relayed.example",
    "SRS0=abcd=AA=remote.example=victim@example.com",
    "SRS0+abcd=AA=remote.example=victim@example.com",
)


@pytest.mark.parametrize("recipient", ROUTES)
def test_a_route_to_elsewhere_is_refused_on_port_25(stage: Stage, recipient: str) -> None:
    with stage.connect() as client:
        assert client.say("MAIL FROM:<stranger@remote.example>").startswith("250")
        reply = client.say(f"RCPT TO:<{recipient.format(own=stage.settings.bind_address4)}>")
    assert reply[0] == "5", reply


@pytest.mark.parametrize("sender", ["ann@example.com", "", "postmaster@example.com", "ann@remote.example"])
def test_no_sender_opens_port_25(stage: Stage, sender: str) -> None:
    with stage.connect() as client:
        assert client.mail(sender, "victim@remote.example").startswith("554 5.7.1")


@pytest.mark.parametrize("source", ["127.0.0.1", address(30), address(1)], ids=["first", "second", "own"])
def test_loopback_addresses_have_no_rights(stage: Stage, source: str) -> None:
    with stage.connect(source=source) as client:
        assert client.mail("ann@example.com", "victim@remote.example").startswith("554 5.7.1")


@pytest.mark.parametrize("port", [465, 587])
def test_submission_without_a_log_in_takes_nothing(stage: Stage, port: int) -> None:
    with stage.connect(port) as client:
        if port == 587:
            client.start_tls()
        for recipient in ("victim@remote.example", "ann@example.com"):
            assert client.mail("ann@example.com", recipient).startswith("530 5.7.0")
            client.say("RSET")


def test_a_failed_log_in_gives_nothing(stage: Stage) -> None:
    with stage.connect(465) as client:
        assert client.log_in("ann@example.com", "wrong").startswith("535")
        assert client.mail("ann@example.com", "victim@remote.example").startswith("530 5.7.0")


def test_a_refusal_on_port_25_says_where_users_go(stage: Stage) -> None:
    with stage.connect() as client:
        reply = client.mail("ann@example.com", "victim@remote.example")
    assert "use port 465 with SSL/TLS or 587 with STARTTLS and log in" in reply


def test_names_of_the_proxy_and_xclient_commands_do_nothing(stage: Stage) -> None:
    with stage.connect() as client:
        assert client.say("XCLIENT ADDR=127.0.0.1 LOGIN=ann@example.com")[0] == "5"
        assert client.say("XFORWARD ADDR=127.0.0.1")[0] == "5"
        assert client.say("PROXY TCP4 192.0.2.1 192.0.2.2 1 25")[0] == "5"


def test_a_proxy_header_on_a_port_without_proxy_is_no_greeting(stage: Stage) -> None:
    with Dialogue(stage.settings.bind_address4, 25, first=b"PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n") as client:
        replies = [client.greeting, client.reply()]
    assert any(reply.startswith(("5", "4")) for reply in replies)


def test_only_users_of_services_may_use_the_queue_directly(stage: Stage) -> None:
    words = stage.run("sendmail", "victim@remote.example", text="Subject: x\n\nx\n", user="nobody")
    assert "fatal" in words


def test_an_ipv6_client_is_treated_the_same(ipv6_loopback: str) -> None:
    with Stage(bind_address4=address(2), bind_address6=ipv6_loopback) as both:
        with Dialogue(ipv6_loopback, 25) as client:
            client.say("EHLO client.example")
            assert client.mail("ann@example.com", "victim@remote.example").startswith("554 5.7.1")
        with Dialogue(ipv6_loopback, 25, source="::1") as client:
            client.say("EHLO client.example")
            assert client.mail("ann@example.com", "victim@remote.example").startswith("554 5.7.1")
            client.say("RSET")
            assert client.mail("stranger@remote.example", "ann@example.com").startswith("250")
        both.hear("[::1]:")


def test_listed_networks_relay_and_their_neighbours_do_not() -> None:
    with Stage(bind_address4=address(3), relaynets=networks(f"{address(31)}/32", "2001:db8::/32")) as listed:
        with listed.connect(source=address(31)) as client:
            assert client.mail("device@example.com", "far@remote.example", body=b"Subject: scan\r\n\r\nx\r\n")[0] == "2"
        listed.remote.wait("scan")
        for source in (address(32), "127.0.0.1", address(3)):
            with listed.connect(source=source) as client:
                assert client.mail("device@example.com", "far@remote.example").startswith("554 5.7.1")
        with listed.connect(465, source=address(31)) as client:
            assert client.mail("ann@example.com", "far@remote.example").startswith("530")


@pytest.fixture
def ipv6_loopback() -> Iterator[str]:
    """An IPv6 address of the loopback interface that nobody else uses."""
    chosen = "fd15:15::1"
    command = ["ip", "-6", "addr"]
    if subprocess.run([*command, "add", f"{chosen}/128", "dev", "lo", "nodad"], check=False).returncode:
        pytest.skip("no right to add an address to the loopback interface")
    yield chosen
    subprocess.run([*command, "del", f"{chosen}/128", "dev", "lo"], check=True)
