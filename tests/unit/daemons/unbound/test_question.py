"""A question of our own to a resolver is one that DNS libraries understand, and only its answer counts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from mailu.daemons.unbound.question import SOA, A, Answer, NoAnswer, ask


@contextmanager
def resolver(reply: Callable[[bytes], list[bytes]]) -> Iterator[tuple[int, list[bytes]]]:
    """Answers one question with the datagrams that *reply* makes of it; gives its port and what it received."""
    received: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)

        def serve() -> None:
            data, client = server.recvfrom(4096)
            received.append(data)
            for datagram in reply(data):
                server.sendto(datagram, client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], received
        finally:
            thread.join()


def answered(data: bytes, *, validated: bool = False) -> bytes:
    made = dns.message.make_response(dns.message.from_wire(data))
    made.answer.append(dns.rrset.from_text("Mail.Example.org.", 60, "IN", "A", "192.0.2.1"))
    made.flags |= dns.flags.AD if validated else 0
    return made.to_wire()


def test_the_question_asks_for_dnssec_and_for_recursion() -> None:
    with resolver(lambda data: [answered(data, validated=True)]) as (port, received):
        assert ask("mail.example.org.", A, "127.0.0.1", port, seconds=5) == Answer(0, 1, True)
    question = dns.message.from_wire(received[0])
    assert [str(one) for one in question.question] == ["mail.example.org. IN A"]
    wanted = dns.flags.RD | dns.flags.AD
    assert question.flags & wanted == wanted
    assert (question.edns, question.ednsflags, question.payload) == (0, dns.flags.DO, 1232)


def test_the_root_can_be_asked_for() -> None:
    with resolver(lambda data: [dns.message.make_response(dns.message.from_wire(data)).to_wire()]) as (port, received):
        assert ask(".", SOA, "127.0.0.1", port, seconds=5) == Answer(0, 0, False)
    assert str(dns.message.from_wire(received[0]).question[0]) == ". IN SOA"


def test_what_answers_another_question_is_passed_over() -> None:
    def reply(data: bytes) -> list[bytes]:
        wrong_number = bytes([data[0] ^ 1]) + answered(data, validated=True)[1:]
        other = dns.message.make_query("other.example.", "A", id=int.from_bytes(data[:2], "big")).to_wire()
        return [b"", b"short", wrong_number, data, answered(other, validated=True), answered(data)]

    with resolver(reply) as (port, _):
        assert ask("mail.example.org", A, "127.0.0.1", port, seconds=5) == Answer(0, 1, False)


def test_silence_and_a_closed_port_are_no_answer() -> None:
    with resolver(lambda _: []) as (port, _), pytest.raises(NoAnswer, match="does not answer"):
        ask(".", SOA, "127.0.0.1", port, seconds=0.2)
    with pytest.raises(NoAnswer, match="refused"):
        ask(".", SOA, "127.0.0.1", port, seconds=1)
