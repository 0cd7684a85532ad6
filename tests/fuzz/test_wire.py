"""What strangers send: every decoder takes any bytes in any pieces, raises BadRequest or nothing, and stays small."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailu.wire import BadRequest, dovecot_auth, sasl, socketmap
from mailu.wire.dovecot_auth import AuthDecoder
from mailu.wire.dovecot_dict import DictDecoder
from mailu.wire.dovecot_master import MasterDecoder
from mailu.wire.http import HttpConnection
from mailu.wire.netstring import NetstringDecoder
from mailu.wire.policy import PolicyDecoder

Feed = Callable[[bytes], Iterable[object]]


def http_feed() -> Feed:
    connection = HttpConnection()

    def feed(data: bytes) -> Iterable[object]:
        connection.feed(data)
        while (request := connection.next_request()) is not None:
            request.form()
            yield request
            return

    return feed


DECODERS: dict[str, Callable[[], Feed]] = {
    "netstring": lambda: NetstringDecoder().feed,
    "policy": lambda: PolicyDecoder().feed,
    "auth": lambda: AuthDecoder().feed,
    "dict": lambda: DictDecoder().feed,
    "master": lambda: MasterDecoder().feed,
    "http": http_feed,
}

# Fragments of each protocol, so that the interesting states are reached.
FRAGMENTS = [
    b"12:domain a.org,", b"0:,", b"9", b"99999:", b":", b",", b"\n", b"\n\n", b"\t", b"\x01", b"\0", b"=", b"\r\n",
    b"request=smtpd_access_policy\n", b"sender=a@b\n", b"size=", b"VERSION\t1\t1\n", b"CPID\t1\n", b"AUTH\t1\tPLAIN\t",
    b"resp=AGEAYg==\n", b"CONT\t1\tYQ==\n", b"H3\t2\t0\t\tq\n", b"B1\tu\n", b"S1\tk\tv\n", b"C1\n", b"L", b"I",
    b"USER\t1\tu@a.org\tservice=lmtp\n", b"USER\t2\tu\tprotocol=", b"LIST\t3\n", b"PASS\t4\tu\n",
    b"GET / HTTP/1.1\r\n", b"POST /auth HTTP/1.1\r\nHost: a\r\n", b"Content-Length: 5\r\n", b"Host: a\r\n",
    b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n", b"\xff\xfe", b"Expect: 100-continue\r\n",
]  # fmt: skip

streams = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=40)), max_size=30)


@pytest.mark.parametrize("name", DECODERS)
@given(pieces=streams)
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_requests_or_bad_request(name: str, pieces: list[bytes]) -> None:
    feed = DECODERS[name]()
    try:
        for piece in pieces:
            for _request in feed(piece):
                pass
    except BadRequest:
        pass


@pytest.mark.parametrize("name", ["netstring", "policy", "auth", "dict", "master"])
@given(pieces=streams, data=st.data())
@settings(max_examples=150, deadline=None)
def test_where_the_stream_is_cut_does_not_matter(name: str, pieces: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pieces)
    cut = data.draw(st.integers(0, len(stream)))
    assert outcome(DECODERS[name](), [stream]) == outcome(DECODERS[name](), [stream[:cut], stream[cut:]])


def outcome(feed: Feed, pieces: list[bytes]) -> tuple[list[object], bool]:
    requests: list[object] = []
    try:
        for piece in pieces:
            requests.extend(feed(piece))
    except BadRequest:
        return requests, False
    return requests, True


ENDLESS = [
    ("netstring", b"1" * 9),
    ("netstring", b"9999:" + b"x" * 9999),
    ("policy", b"x"),
    ("policy", b"a=b\n"),
    ("auth", b"x"),
    ("auth", b"\t"),
    ("dict", b"x"),
    ("dict", b"\x01"),
    ("master", b"x"),
    ("master", b"USER\t1\t"),
    ("http", b"x"),
    ("http", b"GET / HTTP/1.1\r\n"),
    ("http", b"X: y\r\n"),
]


@pytest.mark.parametrize(("name", "filler"), ENDLESS)
def test_an_endless_request_is_given_up_before_it_fills_the_memory(name: str, filler: bytes) -> None:
    feed = DECODERS[name]()
    requests, alive = outcome(feed, [filler] * (80_000 // len(filler) + 1))
    assert not alive
    assert len(requests) <= 1


@given(st.binary(max_size=60))
@example(b"alias \xff")
def test_a_socketmap_payload_is_a_look_up_or_bad(payload: bytes) -> None:
    try:
        lookup = socketmap.parse_request(payload)
    except BadRequest:
        return
    assert lookup.map_name + b" " + lookup.key == payload


@given(st.lists(st.binary(max_size=60), max_size=4), st.sampled_from(sasl.MECHANISMS), st.booleans())
def test_a_sasl_exchange_ends_or_is_bad(responses: list[bytes], mechanism: str, initial: bool) -> None:
    exchange = sasl.exchange(mechanism)
    assert exchange is not None
    try:
        step = exchange.begin(responses.pop(0) if initial and responses else None)
        while responses and isinstance(step, sasl.Challenge):
            step = exchange.proceed(responses.pop(0))
    except BadRequest:
        return
    assert isinstance(step, sasl.Challenge | sasl.Credentials)


@given(st.text(max_size=80))
def test_no_text_breaks_out_of_a_reply(text: str) -> None:
    try:
        reply = dovecot_auth.encode_fail(1, text, user=text)
    except UnicodeEncodeError:
        return
    assert reply.count(b"\n") == 1
    assert reply.count(b"\t") == 3
    decoder = NetstringDecoder()
    (payload,) = decoder.feed(socketmap.temporary_failure(text))
    assert payload.startswith(b"TEMP ")
