"""Facts about receiving domains: from a DNS server and a web server of the test's own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import httpx
import pytest

from mailu.servers.receivers import NotKnown, Receivers

ADDRESS = ("127.0.14.53", 20_000 + os.getpid() % 40_000)
"""Its own for each process of a parallel run."""

ZONE: dict[tuple[str, str], tuple[list[str], bool]] = {
    ("_mta-sts.there.example.", "TXT"): (['"v=STSv1; " "id=1"', '"other"'], False),
    ("there.example.", "MX"): (["10 mx.there.example."], True),
    ("_25._tcp.mx.there.example.", "TLSA"): (["3 1 1 " + "ab" * 32], True),
    ("unsigned.example.", "MX"): (["10 mx.there.example."], False),
    ("half.example.", "MX"): (["10 mx.half.example."], True),
    ("_25._tcp.mx.half.example.", "TLSA"): (["3 1 1 " + "ab" * 32], False),
    ("null.example.", "MX"): (["0 ."], True),
    ("bare.example.", "A"): (["192.0.2.1"], True),
    ("mta-sts.there.example.", "A"): (["192.0.2.7"], False),
    ("mta-sts.there.example.", "AAAA"): (["2001:db8::7"], False),
}


class NameServer(asyncio.DatagramProtocol):
    """Answers from ZONE; ``broken.example`` fails, what is not there does not exist."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        asked = query.question[0]
        assert query.flags & dns.flags.AD
        response = dns.message.make_response(query)
        kind = asked.rdtype.name
        found = ZONE.get((asked.name.to_text(), kind))
        if "broken" in asked.name.to_text():
            response.set_rcode(dns.rcode.SERVFAIL)
        elif found is None:
            known = any(name == asked.name.to_text() for name, _kind in ZONE)
            response.set_rcode(dns.rcode.NOERROR if known else dns.rcode.NXDOMAIN)
        else:
            texts, secure = found
            response.answer.append(dns.rrset.from_text(asked.name, 60, "IN", kind, *texts))
            if secure:
                response.flags |= dns.flags.AD
        self.transport.sendto(response.to_wire(), address)  # type: ignore[attr-defined]


def ask(question: Callable[[Receivers], Awaitable[object]]) -> object:
    async def run() -> object:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(NameServer, local_addr=ADDRESS)
        receivers = Receivers(ADDRESS)
        try:
            return await question(receivers)
        finally:
            await receivers.close()
            transport.close()

    return asyncio.run(run())


def test_the_texts_of_a_record_are_joined_as_one() -> None:
    texts = ask(lambda receivers: receivers.sts_texts("there.example"))
    assert isinstance(texts, list)
    assert sorted(texts) == ["other", "v=STSv1; id=1"]


@pytest.mark.parametrize("domain", ["bare.example", "nowhere.example"])
def test_no_record_is_an_answer(domain: str) -> None:
    assert ask(lambda receivers: receivers.sts_texts(domain)) == []


def test_a_failing_server_is_not_an_answer() -> None:
    with pytest.raises(NotKnown):
        ask(lambda receivers: receivers.sts_texts("broken.example"))


@pytest.mark.parametrize(
    ("domain", "dane"),
    [
        ("there.example", True),
        ("unsigned.example", False),
        ("half.example", False),
        ("null.example", False),
        ("bare.example", False),
        ("nowhere.example", False),
    ],
)
def test_dane_needs_signed_mx_and_signed_tlsa(domain: str, dane: bool) -> None:
    assert ask(lambda receivers: receivers.has_dane(domain)) is dane


def fetch(respond: Callable[[httpx.Request], httpx.Response], domain: str = "there.example") -> object:
    def question(receivers: Receivers) -> Awaitable[object]:
        receivers.client = httpx.AsyncClient(transport=httpx.MockTransport(respond), follow_redirects=False)
        return receivers.sts_policy(domain)

    return ask(question)


def test_a_policy_is_fetched_from_its_well_known_place() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        assert (request.headers["Host"], request.url.path) == ("mta-sts.there.example", "/.well-known/mta-sts.txt")
        return httpx.Response(200, text="version: STSv1")

    assert fetch(respond) == b"version: STSv1"


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(404, text="version: STSv1"),
        httpx.Response(301, headers={"Location": "https://elsewhere.example/", "Content-Type": "text/plain"}),
        httpx.Response(200, html="version: STSv1"),
        httpx.Response(200, text="x" * 70_000),
    ],
)
def test_anything_else_is_no_policy(response: httpx.Response) -> None:
    with pytest.raises(NotKnown):
        fetch(lambda _request: response)


def test_a_server_that_cannot_be_reached_is_no_policy() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(NotKnown, match="refused"):
        fetch(respond)


def test_the_host_of_a_policy_is_looked_up_at_our_own_resolver_and_asked_at_each_address() -> None:
    asked: list[tuple[str, object]] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.host, request.extensions["sni_hostname"]))
        if request.url.host == "192.0.2.7":
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(200, text="version: STSv1")

    assert fetch(respond) == b"version: STSv1"
    assert asked == [("192.0.2.7", "mta-sts.there.example"), ("2001:db8::7", "mta-sts.there.example")]


def test_a_policy_without_a_host_is_no_policy() -> None:
    with pytest.raises(NotKnown, match="no address"):
        fetch(lambda _request: httpx.Response(200, text="version: STSv1"), "bare.example")
