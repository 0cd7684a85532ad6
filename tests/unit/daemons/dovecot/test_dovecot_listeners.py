"""Which ports Dovecot opens."""

from __future__ import annotations

import pytest
from tests.room_harness import GOLDEN_ROOT, make_settings

from mailu.daemons.dovecot.listeners import MAX_CONNECTIONS, addresses, cleartext_allowed, logins


def opened(**variables: str) -> dict[int, tuple[str, bool, bool]]:
    """Port to name, implicit TLS, PROXY protocol."""
    return {
        listener.port: (listener.name, listener.implicit_tls, listener.proxied)
        for login in logins(make_settings(GOLDEN_ROOT, **variables), processors=2)
        for listener in login.open_listeners
    }


def test_by_default_the_ports_with_tls_and_managesieve_are_open() -> None:
    assert opened() == {993: ("imaps", True, False), 995: ("pop3s", True, False), 4190: ("sieve", False, False)}


def test_ports_decides() -> None:
    assert opened(PORTS="25,143,110") == {143: ("imap", False, False), 110: ("pop3", False, False)}


def test_without_tls_the_ports_that_begin_with_it_stay_closed() -> None:
    assert sorted(opened(TLS_FLAVOR="notls", PORTS="143,993,995,4190")) == [143, 4190]


def test_a_port_that_a_proxy_speaks_to_expects_its_header() -> None:
    found = opened(PORTS="143,993", PROXY_PROTOCOL="993", REAL_IP_FROM="192.0.2.1")
    assert found == {143: ("imap", False, False), 993: ("imaps", True, True)}


def test_a_closed_port_is_named_so_that_dovecot_does_not_open_it_by_itself() -> None:
    by_name = {each.name: each.port for login in logins(make_settings(), processors=2) for each in login.listeners}
    assert by_name == {"imap": 0, "imaps": 993, "pop3": 0, "pop3s": 995, "sieve": 4190}


@pytest.mark.parametrize(
    ("variables", "allowed"),
    [
        ({}, False),
        ({"TLS": "443,465,995", "PORTS": "993,995"}, True),
        ({"TLS": "443,465", "PORTS": "143,4190"}, False),
        ({"TLS_FLAVOR": "notls"}, False),
    ],
)
def test_passwords_without_tls_are_taken_only_where_tls_ends_before_us(
    variables: dict[str, str], allowed: bool
) -> None:
    assert cleartext_allowed(make_settings(GOLDEN_ROOT, **variables)) is allowed


def test_many_processors_share_the_connections_instead_of_adding_to_them() -> None:
    for processors in (1, 2, 4, 64):
        imap = logins(make_settings(), processors=processors)[0]
        assert imap.processes * imap.clients <= MAX_CONNECTIONS
        assert imap.spare_processes == imap.processes


def test_a_service_without_an_open_port_keeps_no_process_ready() -> None:
    assert logins(make_settings(PORTS="25"), processors=2)[0].spare_processes == 0


def test_a_small_host_keeps_one_process_ready() -> None:
    assert logins(make_settings(SMALL_HOST="true"), processors=8)[0].spare_processes == 1


def test_a_machine_without_ipv6_is_asked_for_ipv4_only() -> None:
    settings = make_settings(BIND_ADDRESS4="192.0.2.1", BIND_ADDRESS6="2001:db8::1")
    assert addresses(settings, ipv6=True) == ("192.0.2.1", "2001:db8::1")
    assert addresses(settings, ipv6=False) == ("192.0.2.1",)
