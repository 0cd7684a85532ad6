"""Who resolves names is found out by asking, and what is said of it is true."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from tests.unit.deploy.fake_room import situation

from mailu.deploy import name_service, resolver
from mailu.deploy.ground import Verdict
from mailu.places import Places

SETTINGS = situation(Path("/mailu")).settings


@contextmanager
def dns_server(answer: Callable[[dns.message.Message], dns.message.Message | None]) -> Iterator[int]:
    """A DNS server on 127.0.0.1; gives its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                data, client = server.recvfrom(4096)
                if data == b"end":
                    return
                made = answer(dns.message.from_wire(data))
                if made is not None:
                    server.sendto(made.to_wire(), client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.sendto(b"end", server.getsockname())
            thread.join()


def soa(*, validated: bool, code: dns.rcode.Rcode = dns.rcode.NOERROR) -> Callable[..., dns.message.Message]:
    def answer(question: dns.message.Message) -> dns.message.Message:
        made = dns.message.make_response(question)
        made.set_rcode(code)
        if code == dns.rcode.NOERROR:
            made.answer.append(dns.rrset.from_text(".", 60, "IN", "SOA", "a. b. 1 2 3 4 5"))
        if validated:
            made.flags |= dns.flags.AD
        return made

    return answer


def test_a_validated_answer_has_its_bit() -> None:
    with dns_server(soa(validated=True)) as port:
        assert resolver.answers("127.0.0.1", port) is True
    with dns_server(soa(validated=False)) as port:
        assert resolver.answers("127.0.0.1", port) is False


def test_a_failure_and_silence_are_no_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "QUESTION_SECONDS", 0.1)
    with dns_server(soa(validated=True, code=dns.rcode.SERVFAIL)) as port:
        assert resolver.answers("127.0.0.1", port) is None
    with dns_server(lambda _: None) as port:
        assert resolver.answers("127.0.0.1", port) is None
    assert resolver.answers("127.0.0.1", port) is None


@pytest.mark.parametrize(
    ("choice", "own", "system", "verdict"),
    [
        ("auto", True, [True], Verdict(5300, own_validates=True)),
        ("auto", False, [None], Verdict(5300)),
        ("auto", False, [True, True], Verdict(5300, system_validates=True)),
        ("auto", None, [True, True], Verdict(0, system_validates=True)),
        ("auto", None, [True, False], Verdict(0)),
        ("auto", None, [None], Verdict(0, resolves=False)),
        ("auto", None, [], Verdict(0, resolves=False)),
        ("unbound", None, [True], Verdict(5300, system_validates=True, resolves=False)),
        ("system", True, [True], Verdict(0, system_validates=True)),
        ("system", True, [False], Verdict(0)),
    ],
)
def test_the_best_one_that_answers_is_used(
    monkeypatch: pytest.MonkeyPatch, choice: str, own: bool | None, system: list[bool | None], verdict: Verdict
) -> None:
    names = [f"192.0.2.{number}" for number in range(len(system))]
    monkeypatch.setattr(resolver, "system_resolvers", lambda: names)
    given = dict(zip(names, system, strict=True))
    monkeypatch.setattr(resolver, "answers", lambda address, port=53: own if port == 5300 else given[address])
    assert resolver.judge(choice, 5300) == verdict


def test_without_a_resolver_of_our_own_the_systems_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "system_resolvers", lambda: ["192.0.2.1"])
    monkeypatch.setattr(resolver, "answers", lambda address, port=53: True)
    assert resolver.judge("auto", 0) == Verdict(0, system_validates=True)


def test_resolv_conf_is_read(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# nameserver 192.0.2.9\nsearch x\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 \nnameserver\n")
    assert resolver.system_resolvers(file) == ["192.0.2.1", "2001:db8::1"]
    assert resolver.system_resolvers(tmp_path / "absent") == []


def test_what_was_found_out_is_known_at_the_next_start(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.run.mkdir()
    assert resolver.remembered(places) == Verdict()
    resolver.remember(places, Verdict(5300, own_validates=True))
    assert resolver.remembered(places) == Verdict(5300, own_validates=True)
    (places.run / "resolver.json").write_text('{"port": 1, "validates": true}')
    assert resolver.remembered(places) == Verdict()


@pytest.mark.parametrize(
    ("verdict", "possible", "validates", "words"),
    [
        (Verdict(5300, own_validates=True), True, True, None),
        (Verdict(5300, own_validates=True), False, False, "Postfix cannot be led to it"),
        (Verdict(5300, own_validates=True, system_validates=True), False, True, None),
        (Verdict(5300), True, False, "the resolver does not validate"),
        (Verdict(0), True, False, "our own resolver cannot reach the DNS from here"),
        (Verdict(0, system_validates=True), True, True, None),
    ],
)
def test_what_postfix_gets_decides_about_dane(
    monkeypatch: pytest.MonkeyPatch, verdict: Verdict, possible: bool, validates: bool, words: str | None
) -> None:
    monkeypatch.setattr(name_service, "is_possible", lambda: possible)
    assert verdict.validates is validates
    warnings = resolver.warnings(verdict, SETTINGS)
    assert [words in text and "without DANE" in text for text in warnings if words] == ([True] if words else [])
    assert bool(warnings) is (words is not None)


def test_the_systems_resolver_is_not_blamed_on_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(SETTINGS, resolver="system")
    assert "our own" not in resolver.warnings(Verdict(0), settings)[0]
