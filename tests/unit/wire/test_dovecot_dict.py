"""The dict protocol, as Dovecot 2.3 (versions 2 and 3) and 2.4 (version 4) write it."""

from __future__ import annotations

import pytest

from mailu.wire import BadRequest, dovecot_dict
from mailu.wire.dovecot_dict import Change, Commit, DictDecoder, Hello, Iterate, Lookup

# What Dovecot 2.3.19 was seen to send.
DOVECOT_2_3 = b"H3\t2\t0\t\tquota\nB1\tbob@example.com\nS1\tpriv/quota/storage\t123\nS1\tpriv/quota/messages\t4\nC1\n"
DOVECOT_2_2 = b"H2\t0\t0\tbob@example.com\tquota\nB7\nS7\tpriv/quota/storage\t123\nD7\n"
DOVECOT_2_4 = (
    b"H4\t0\t0\t\tquota\t0\nB1\tbob@example.com\t0\nV1\t0\nT1\t1700000000\t5\nU1\tpriv/quota/storage\n"
    b"S1\tpriv/quota/storage\t123\nC1\nLpriv/quota/storage\tbob@example.com\n"
)


def decode(stream: bytes, size: int = 4096) -> list[dovecot_dict.Command]:
    decoder = DictDecoder()
    return [command for start in range(0, len(stream), size) for command in decoder.feed(stream[start : start + size])]


@pytest.mark.parametrize("size", [1, 16, 128, 4096])
def test_version_3_names_the_user_in_each_transaction(size: int) -> None:
    storage, messages = Change("priv/quota/storage", "123"), Change("priv/quota/messages", "4")
    assert decode(DOVECOT_2_3, size) == [
        Hello(3, 2, "", "quota"),
        Commit(1, "bob@example.com", (storage, messages), asynchronous=False),
    ]


def test_version_2_names_the_user_in_its_greeting() -> None:
    assert decode(DOVECOT_2_2) == [
        Hello(2, 0, "bob@example.com", "quota"),
        Commit(7, "bob@example.com", (Change("priv/quota/storage", "123"),), asynchronous=True),
    ]


def test_version_4_adds_fields_and_commands_that_change_nothing() -> None:
    assert decode(DOVECOT_2_4) == [
        Hello(4, 0, "", "quota"),
        Commit(
            1,
            "bob@example.com",
            (Change("priv/quota/storage", None), Change("priv/quota/storage", "123")),
            asynchronous=False,
        ),
        Lookup("bob@example.com", "priv/quota/storage"),
    ]


def test_a_rolled_back_transaction_leaves_nothing() -> None:
    hello, lookup = decode(b"H3\t2\t0\t\tq\nB1\tbob\nS1\tk\tv\nR1\nLk\tbob\n")
    assert isinstance(hello, Hello)
    assert isinstance(lookup, Lookup)


def test_transactions_on_one_connection_do_not_mix() -> None:
    commits = decode(b"H3\t2\t0\t\tq\nB1\tann\nB2\tbob\nS1\tk\t1\nS2\tk\t2\nA2\tk\t-5\nC2\nC1\n")[1:]
    assert commits == [
        Commit(2, "bob", (Change("k", "2"), Change("k", "-5", increment=True)), asynchronous=False),
        Commit(1, "ann", (Change("k", "1"),), asynchronous=False),
    ]


def test_keys_and_values_are_unescaped() -> None:
    commit = decode(b"H3\t2\t0\t\tq\nB1\tann\nS1\ta\x01tb\tc\x01nd\nC1\n")[1]
    assert isinstance(commit, Commit)
    assert commit.changes == (Change("a\tb", "c\nd"),)


def test_an_iteration_is_known_so_that_it_can_be_answered_as_empty() -> None:
    assert decode(b"H3\t2\t0\t\tq\nI0\t0\tpriv/\tann\n")[1] == Iterate()
    assert dovecot_dict.END_OF_ITERATION == b"\n"


@pytest.mark.parametrize(
    "after_hello",
    [
        b"X\n",
        b"\n",
        b"S1\tk\tv\n",
        b"C1\n",
        b"R1\n",
        b"Bx\n",
        b"B1\tann\nB1\tann\n",
        b"B1\tann\nS1\tk\n",
        b"B1\tann\nU1\tk\tv\n",
        b"B1\tann\nS" + b"9" * 30 + b"\tk\tv\n",
        b"L" + b"x" * dovecot_dict.MAX_LINE_BYTES + b"\n",
        b"".join(b"B%d\tann\n" % number for number in range(dovecot_dict.MAX_TRANSACTIONS + 1)),
        b"B1\tann\n" + b"S1\tk\tv\n" * (dovecot_dict.MAX_CHANGES + 1),
    ],
)
def test_what_dovecot_would_hang_up_on_is_refused(after_hello: bytes) -> None:
    with pytest.raises(BadRequest):
        decode(b"H3\t2\t0\t\tq\n" + after_hello)


@pytest.mark.parametrize("greeting", [b"Lkey\n", b"H3\t2\n", b"H1\t0\t0\tu\tq\n", b"Hx\t0\t0\tu\tq\n", b"\n"])
def test_a_greeting_must_come_first(greeting: bytes) -> None:
    with pytest.raises(BadRequest):
        decode(greeting)


def test_replies_are_those_of_dovecots_own_server() -> None:
    commit = Commit(3, "ann", (), asynchronous=False)
    assert dovecot_dict.encode_committed(commit) == b"O3\n"
    assert dovecot_dict.encode_committed(Commit(3, "ann", (), asynchronous=True)) == b"AO3\n"
    assert dovecot_dict.encode_committed(commit, failure="not now") == b"F3\tnot now\n"
    assert dovecot_dict.encode_value("a\tb") == b"Oa\x01tb\n"
    assert dovecot_dict.encode_failure("why") == b"Fwhy\n"
