"""Lists of senders on a whole server: who is proven is let in, and who only says so is not."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.daemons.conftest import NETWORK, NewServer
from tests.daemons.conversation import smtp_words
from tests.daemons.server import NAMES, OTHER, USER, Server, make_message, until

POINTS = """
TEST_POINTS {
    type = "header";
    header = "X-Test-Points";
    map = ["regexp;/^many$/"];
    regexp = true;
    score = 40.0;
}
"""


@dataclass
class Gateway:
    """A server that hears from a balancer whom it speaks for, so that strangers can have addresses of their own."""

    server: Server

    def offer(self, sender: str, *recipients: str, subject: str, client: str) -> tuple[int, str]:
        """Offer a message full of points; the reply to its end."""
        prefix = f"PROXY TCP4 {client} 192.0.2.1 50000 25\r\n".encode()
        with smtp_words(self.server.address, source=f"{NETWORK}.98", prefix=prefix) as words:
            words.say(f"MAIL FROM:<{sender}>")
            for recipient in recipients:
                assert words.say(f"RCPT TO:<{recipient}>")[0] == 250
            assert words.say("DATA")[0] == 354
            message = make_message(sender, recipients[0], subject=subject)
            message["X-Test-Points"] = "many"
            return words.say(message.as_bytes().replace(b"\n", b"\r\n") + b"\r\n.\r\n")


@pytest.fixture
def gateway(new_server: NewServer) -> Gateway:
    server = new_server({"PROXY_PROTOCOL": "25", "REAL_IP_FROM": f"{NETWORK}.98"})
    spf = """    local-data: 'example.org. 3600 IN TXT "v=spf1 ip4:203.0.113.9 -all"'\n"""
    server.write_override("unbound/names.conf", NAMES + spf)
    server.write_override("rspamd/multimap.conf", POINTS)
    server.up()
    server.populate()
    return Gateway(server)


def test_a_proven_friend_reaches_the_inbox_and_a_forger_does_not(gateway: Gateway) -> None:
    server, friend = gateway.server, "friend@example.org"
    assert gateway.offer(friend, USER, subject="before", client="203.0.113.9")[0] == 554
    server.command("senders", "allow", "example.org", "--for", USER)
    until(
        lambda: gateway.offer(friend, USER, subject="let in", client="203.0.113.9")[0] == 250,
        seconds=10,
        what=f"the friend's welcome ({server.log_text('antispam')[-1500:]})",
    )
    server.wait_for_message(USER, subject="let in")
    assert gateway.offer(friend, USER, subject="forged", client="203.0.113.10")[0] == 554
    code, text = gateway.offer(friend, USER, OTHER, subject="for both", client="203.0.113.9")
    assert code == 250, text
    arrived = server.wait_for_message(USER, subject="for both")
    assert arrived["X-Mailu-Sender-Lists"] is None
    server.wait_for_message(OTHER, subject="for both", folder="Junk")
