"""The small HTTP server side: whole requests in, whole answers out, one after another."""

from __future__ import annotations

import pytest

from mailu.wire import BadRequest
from mailu.wire.http import MAX_BODY_BYTES, HttpConnection, HttpRequest, HttpResponse

GET = b"GET /user/ann%40example.com?verbose=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Mailu-Secret: s3\r\n\r\n"
POST = b"POST /auth HTTP/1.1\r\nHost: h\r\nContent-Length: 22\r\n\r\nlogin=ann&password=%26"


def take(connection: HttpConnection, data: bytes) -> HttpRequest:
    connection.feed(data)
    request = connection.next_request()
    assert request is not None
    return request


@pytest.mark.parametrize("size", [1, 16, 128, 4096])
def test_two_merged_requests_are_answered_in_turn_at_every_read_size(size: int) -> None:
    connection, stream, paths = HttpConnection(), GET + POST + GET, []
    for start in range(0, len(stream), size):
        connection.feed(stream[start : start + size])
        while (request := connection.next_request()) is not None:
            paths.append((request.method, request.path))
            assert connection.respond(HttpResponse(200, b"yes")).endswith(b"\r\n\r\nyes")
    assert paths == [("GET", "/user/ann@example.com"), ("POST", "/auth"), ("GET", "/user/ann@example.com")]
    assert not connection.must_close


def test_headers_query_and_form_are_read() -> None:
    connection = HttpConnection()
    request = take(connection, GET)
    assert request.headers["x-mailu-secret"] == "s3"
    assert request.query == {"verbose": "1"}
    connection.respond(HttpResponse(204))
    assert take(connection, POST).form() == {"login": b"ann", "password": b"&"}


def test_a_form_field_is_the_bytes_that_were_meant() -> None:
    request = HttpRequest("POST", "/", {}, b"a=1+2&b=%ff%C3%A9&c=&d=\xe9")
    assert request.form() == {"a": b"1 2", "b": b"\xff\xc3\xa9", "c": b"", "d": b"\xe9"}


def test_a_client_that_wants_to_close_is_let_go() -> None:
    connection = HttpConnection()
    take(connection, b"GET / HTTP/1.0\r\n\r\n")
    connection.respond(HttpResponse(200))
    assert connection.must_close


def test_a_client_may_wait_to_be_told_to_go_on() -> None:
    connection = HttpConnection()
    connection.feed(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert connection.next_request() is None
    assert connection.expects_continue
    assert connection.encode_continue().startswith(b"HTTP/1.1 100")
    assert take(connection, b"x").body == b"x"


@pytest.mark.parametrize(
    "stream",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 20_000,
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n" + b"x" * (MAX_BODY_BYTES + 1),
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_with_400(stream: bytes) -> None:
    connection = HttpConnection()
    connection.feed(stream)
    with pytest.raises(BadRequest):
        connection.next_request()
    reply = connection.refuse("no")
    assert reply == b"" or reply.startswith(b"HTTP/1.1 400")


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(BadRequest):
        HttpRequest("POST", "/", {}, b"&".join(b"a=%d" % number for number in range(100))).form()


def test_a_body_is_not_shown() -> None:
    assert "hunter2" not in repr(HttpRequest("POST", "/auth", {}, b"password=hunter2"))


def test_a_head_gets_the_headers_alone() -> None:
    connection = HttpConnection()
    take(connection, b"HEAD /rspamd/local_domains HTTP/1.1\r\nHost: h\r\n\r\n")
    answer = connection.respond(HttpResponse(200, b"example.org\n"))
    assert b"content-length: 12\r\n" in answer.lower()
    assert answer.endswith(b"\r\n\r\n")
    take(connection, GET)
    assert connection.respond(HttpResponse(200, b"yes")).endswith(b"yes")
