"""Whole exchanges, as bytes: each line of the tables here is a request TAB the reply to it, on a connection of its own.

Escapes are Python's. ``<closed>`` at the end of a reply says that the server hangs up then. Every line is replayed at
read sizes of 1, 16, 128 and 4096 bytes; those of protocols without memory also all in one read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.directory_harness import decide, handlers, mailboxes, maps, no_usage, policy, snapshot

from mailu.servers.conversations import HangUp
from mailu.servers.http import HttpConversation
from mailu.servers.mailboxes import MailboxConversation
from mailu.servers.maps import MapConversation
from mailu.servers.policy import PolicyConversation
from mailu.servers.rule_scripts import RuleScripts
from mailu.servers.sasl import SaslConversation
from mailu.servers.usage import UsageConversation

READ_SIZES = (1, 16, 128, 4096)
HERE = Path(__file__).parent
CLOSED = b"<closed>"

Prompt = MapConversation | PolicyConversation | UsageConversation | MailboxConversation
Patient = SaslConversation | HttpConversation


def table(name: str) -> list[tuple[bytes, bytes]]:
    lines = (HERE / f"{name}.tsv").read_text().splitlines()
    pairs = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(unescape(request), unescape(reply)) for request, reply in pairs]


def unescape(text: str) -> bytes:
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")


async def talk(conversation: Prompt | Patient, stream: bytes, size: int) -> bytes:
    said = b""
    for start in range(0, len(stream), size):
        piece = stream[start : start + size]
        try:
            if isinstance(conversation, Prompt):
                reply = conversation.received(piece)
                said += reply if isinstance(reply, bytes) else await reply
            else:
                said += await conversation.received(piece)
        except HangUp as hang_up:
            return said + hang_up.last_reply + CLOSED
    return said


def conversations(folder: Path) -> dict[str, Callable[[], Prompt | Patient]]:
    return {
        "socketmap": lambda: MapConversation(maps()),
        "policy": lambda: PolicyConversation(policy().answer),
        "sasl": lambda: SaslConversation(decide),
        "dict": lambda: UsageConversation(snapshot, no_usage(), RuleScripts()),
        "master": lambda: MailboxConversation(mailboxes()),
        "http": lambda: HttpConversation(handlers(folder)),
    }


@pytest.mark.parametrize("size", READ_SIZES)
@pytest.mark.parametrize("name", ["socketmap", "policy", "sasl", "dict", "master", "http"])
def test_each_exchange_is_the_same_at_every_read_size(name: str, size: int, tmp_path: Path) -> None:
    make = conversations(tmp_path)[name]
    for request, reply in table(name):
        assert (request, asyncio.run(talk(make(), request, size))) == (request, reply)


@pytest.mark.parametrize("name", ["socketmap", "http"])
def test_all_exchanges_merged_into_one_read_are_answered_in_turn(name: str, tmp_path: Path) -> None:
    pairs = [(request, reply) for request, reply in table(name) if not reply.endswith(CLOSED)]
    stream = b"".join(request for request, _reply in pairs)
    replies = b"".join(reply for _request, reply in pairs)
    assert asyncio.run(talk(conversations(tmp_path)[name](), stream, len(stream))) == replies
