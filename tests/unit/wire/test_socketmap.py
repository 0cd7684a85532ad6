"""The four replies of socketmap, and what a request must look like."""

from __future__ import annotations

import pytest

from mailu.wire import BadRequest, socketmap


def test_a_request_is_a_map_and_a_key() -> None:
    assert socketmap.parse_request(b"alias ann@example.com") == (b"alias", b"ann@example.com")


def test_a_key_may_be_empty_or_hold_blanks_or_be_no_text() -> None:
    assert socketmap.parse_request(b"sender-login ").key == b""
    assert socketmap.parse_request(b"alias a b@c").key == b"a b@c"
    assert socketmap.parse_request(b"alias \xff\xfe").key == b"\xff\xfe"


@pytest.mark.parametrize("payload", [b"", b"alias", b" key"])
def test_a_request_without_map_or_blank_is_refused(payload: bytes) -> None:
    with pytest.raises(BadRequest):
        socketmap.parse_request(payload)


def test_replies_are_what_postfix_expects() -> None:
    assert socketmap.found("a@b.c,d@e.f") == b"14:OK a@b.c,d@e.f,"
    assert socketmap.NOT_FOUND == b"9:NOTFOUND ,"
    assert socketmap.temporary_failure("not ready") == b"14:TEMP not ready,"
    assert socketmap.permanent_failure("no such map") == b"16:PERM no such map,"


def test_a_value_that_postfix_would_not_take_is_an_error_and_not_a_wrong_answer() -> None:
    assert b"PERM" in socketmap.found("x" * 100_001)
    assert b"PERM" in socketmap.found("a\nb")
    assert b"PERM" in socketmap.found("a\0b")


def test_a_reason_is_one_line_of_ascii() -> None:
    assert socketmap.temporary_failure("bad\r\nthing \xe9") == b"19:TEMP bad thing \\xe9,"
    assert len(socketmap.temporary_failure("x" * 5000)) < 500
