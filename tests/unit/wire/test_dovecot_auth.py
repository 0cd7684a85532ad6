"""The auth protocol as Postfix writes it."""

from __future__ import annotations

import pytest

from mailu.wire import BadRequest, dovecot_auth
from mailu.wire.dovecot_auth import (
    AuthDecoder,
    AuthRequest,
    Cancellation,
    ClientPid,
    Continuation,
    Version,
    parse_command,
)

POSTFIX = (
    b"VERSION\t1\t1\nCPID\t4711\n"
    b"AUTH\t1\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.1\trip=198.51.100.7\tsecured\tresp=AGFubgBzZWNyZXQ=\n"
    b"AUTH\t2\tLOGIN\tservice=smtp\tnologin\tlip=192.0.2.1\trip=198.51.100.7\n"
    b"CONT\t2\tYW5u\n"
)


@pytest.mark.parametrize("size", [1, 16, 128, 4096])
def test_a_session_of_postfix_is_read_at_every_size(size: int) -> None:
    decoder = AuthDecoder()
    commands = [
        command for start in range(0, len(POSTFIX), size) for command in decoder.feed(POSTFIX[start : start + size])
    ]
    common = {
        "service": "smtp",
        "client_ip": "198.51.100.7",
        "client_port": 0,
        "local_ip": "192.0.2.1",
        "local_port": 0,
    }
    assert commands == [
        Version(1, 1),
        ClientPid(4711),
        AuthRequest(id=1, mechanism="PLAIN", secured=True, initial_response=b"AGFubgBzZWNyZXQ=", **common),  # type: ignore[arg-type]
        AuthRequest(id=2, mechanism="LOGIN", secured=False, initial_response=None, **common),  # type: ignore[arg-type]
        Continuation(2, b"YW5u"),
    ]


def test_ports_are_read_where_a_client_says_them() -> None:
    request = parse_command(b"AUTH\t3\tplain\tservice=smtp\trport=51234\tlport=465\tresp=")
    assert isinstance(request, AuthRequest)
    assert (request.mechanism, request.client_port, request.local_port) == ("PLAIN", 51234, 465)
    assert request.initial_response == b""


def test_nothing_after_the_response_is_taken_for_a_parameter() -> None:
    request = parse_command(b"AUTH\t3\tPLAIN\tservice=smtp\trip=192.0.2.1\tresp=AAAA\trip=203.0.113.1\tsecured")
    assert isinstance(request, AuthRequest)
    assert (request.client_ip, request.secured) == ("192.0.2.1", False)


def test_an_unknown_command_is_passed_over() -> None:
    assert parse_command(b"FUTURE\tx") is None
    assert parse_command(b"") is None
    assert parse_command(b"CANCEL\t7") == Cancellation(7)


@pytest.mark.parametrize(
    "line",
    [
        b"AUTH",
        b"AUTH\t1",
        b"AUTH\tx\tPLAIN",
        b"CONT\t1",
        b"CONT\tx\tYQ==",
        b"CPID",
        b"VERSION\t1",
        b"CPID\t" + b"9" * 11,
    ],
)
def test_a_broken_command_is_refused(line: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_command(line)


def test_the_handshake_has_its_mechanisms_before_spid_and_ends_with_done() -> None:
    text = dovecot_auth.handshake(mechanisms=("PLAIN", "LOGIN"), pid=5, connection=9, cookie=bytes(16))
    assert text == (
        b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nSPID\t5\nCUID\t9\nCOOKIE\t"
        + b"0" * 32
        + b"\nDONE\n"
    )


def test_replies_cannot_be_broken_out_of() -> None:
    assert dovecot_auth.encode_ok(1, "ann@example.com") == b"OK\t1\tuser=ann@example.com\n"
    assert dovecot_auth.encode_ok(1, "a\tuser=root\nb").count(b"\t") == 2
    assert dovecot_auth.encode_fail(2, "no\r\nOK\t2\tuser=root") == b"FAIL\t2\treason=no OK 2 user=root\n"
    assert dovecot_auth.encode_fail(2, "no", user="ann") == b"FAIL\t2\tuser=ann\treason=no\n"


def test_an_empty_challenge_keeps_its_field() -> None:
    assert dovecot_auth.encode_challenge(1, b"") == b"CONT\t1\t\n"
    assert dovecot_auth.encode_challenge(1, b"Username:") == b"CONT\t1\tVXNlcm5hbWU6\n"


def test_a_response_that_is_no_base64_is_refused_by_itself() -> None:
    assert dovecot_auth.decode_response(b"YW5u") == b"ann"
    for broken in (b"YW5", b"Y W5u", b"\xff", b"===="):
        with pytest.raises(BadRequest):
            dovecot_auth.decode_response(broken)
