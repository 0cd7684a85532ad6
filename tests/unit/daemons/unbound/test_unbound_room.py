"""The room of Unbound."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from tests.room_harness import HOST, compare_with_golden, install, make_request, root_folder, running, this_host

from mailu.daemons.unbound import ROOM


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("variant", "variables"),
    [
        ("default", {}),
        ("small", {"SMALL_HOST": "true"}),
        ("network", {"RESOLVER_ADDRESS": "resolver", "SUBNET6": "fd00:1::/64"}),
    ],
)
def test_the_configuration_is_the_golden_one(variant: str, variables: dict[str, str]) -> None:
    host = replace(HOST, unbound_port=21_002)
    compare_with_golden(f"unbound/{variant}", ROOM.render(make_request(variables, service="resolver", host=host)))


def test_it_listens_where_it_will_be_looked_for_before_it_is_used() -> None:
    host = replace(HOST, resolver_port=0, unbound_port=25_000)
    assert "port: 25000\n" in ROOM.render(make_request(host=host))["unbound.conf"].text


def test_the_operators_files_are_included_at_the_end() -> None:
    request = make_request(service="resolver", overrides={"forward.conf": "forward-zone:\n", "notes.txt": "x"})
    files = ROOM.render(request)
    assert sorted(files) == ["overrides/forward.conf", "unbound.conf"]
    assert files["unbound.conf"].text.endswith('include: "/mailu/run/resolver/etc/overrides/forward.conf"\n')


def test_the_checker_refuses_a_bad_override_in_its_own_words() -> None:
    with root_folder("rs") as root:
        host = this_host(unbound_port=25_000)
        request = make_request(
            root=root, service="resolver", host=host, overrides={"x.conf": "server:\n  no-such-option: 1\n"}
        )
        install(ROOM, request)
        result = ROOM.check(request)
        assert any("no-such-option" in problem for problem in result.problems), result


def test_not_ready_is_said_in_words(tmp_path: Path) -> None:
    host = replace(HOST, unbound_port=free_port())
    reason = ROOM.ready(make_request(root=tmp_path, host=host))
    assert reason is not None
    assert reason.startswith(f"Unbound does not answer on 127.0.0.1 port {host.unbound_port}")


@pytest.mark.daemons
@pytest.mark.parametrize("small", ["false", "true"])
def test_unbound_answers_and_does_not_make_answers_up(small: str) -> None:
    with root_folder("rs") as root:
        host = this_host(unbound_port=free_port())
        override = 'server:\n  local-data: "mx.test. A 192.0.2.1"\n'
        request = make_request(
            {"SMALL_HOST": small}, root=root, service="resolver", host=host, overrides={"local.conf": override}
        )
        with running(ROOM, request) as daemon:
            answer = dns.query.udp(dns.message.make_query("mx.test.", "A"), "127.0.0.1", 1, host.unbound_port)
            assert [str(rrset[0]) for rrset in answer.answer] == ["192.0.2.1"]
            # A zone is refused to those who may not ask, and nobody can ask by TCP on another address.
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.17.1", host.unbound_port), 1)
            assert "error" not in daemon.said()


@pytest.mark.daemons
def test_a_validating_resolver_does_not_claim_what_it_cannot_prove() -> None:
    """Below a signed zone that cannot be reached the answer is a failure, never one with the AD bit."""
    with root_folder("rs") as root:
        host = this_host(unbound_port=free_port())
        with running(ROOM, make_request(root=root, service="resolver", host=host)):
            question = dns.message.make_query(".", "SOA", want_dnssec=True)
            try:
                answer = dns.query.udp(question, "127.0.0.1", 5, host.unbound_port)
            except dns.exception.Timeout:
                return
            validated = bool(answer.flags & dns.flags.AD)
            assert validated == (answer.rcode() == dns.rcode.NOERROR)
