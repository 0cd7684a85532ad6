"""Lists of senders on a whole server: one recipient refuses what another one takes."""

from __future__ import annotations

import json

from tests.daemons.conversation import smtp_words
from tests.daemons.server import OTHER, USER, Server, make_message, until

DENIED = "pest@example.org"
REFUSAL = "mail from this sender is not accepted for this recipient"


def test_a_denied_sender_is_refused_while_another_recipient_takes_the_message(stack: Server) -> None:
    stack.command("senders", "deny", DENIED, "--for", USER)
    try:
        said: dict[str, tuple[int, str]] = {}

        def refused() -> bool:
            with smtp_words(stack.address) as client:
                client.say(f"MAIL FROM:<{DENIED}>")
                said.update({recipient: client.say(f"RCPT TO:<{recipient}>") for recipient in (USER, OTHER)})
            return said[USER][0] == 550

        until(refused, seconds=5, what="the refusal")
        assert REFUSAL in said[USER][1]
        with smtp_words(stack.address) as client:
            client.say(f"MAIL FROM:<{DENIED}>")
            assert client.say(f"RCPT TO:<{USER.replace('@', '+shop@')}>")[0] == 550
            assert client.say(f"RCPT TO:<{OTHER}>")[0] == 250
            assert client.say("DATA")[0] == 354
            message = make_message(DENIED, OTHER, subject="for one of two")
            assert client.say(message.as_bytes().replace(b"\n", b"\r\n") + b"\r\n.\r\n")[0] == 250
        stack.wait_for_message(OTHER, subject="for one of two")
        assert "for one of two" not in {found["Subject"] for found in stack.messages(USER)}
        explained = json.loads(stack.command("explain", USER, "--from", DENIED, "--json").stdout)
        assert explained["senders"]["not_proven"]["refused"] is True
    finally:
        stack.command("senders", "remove", DENIED, "--for", USER)
