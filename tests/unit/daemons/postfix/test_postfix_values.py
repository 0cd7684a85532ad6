"""Facts worked out of the settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.daemons.postfix.stage import networks, settings

from mailu.daemons.postfix import values
from mailu.daemons.postfix.listeners import listeners

ROOT = Path("/mailu")


@pytest.mark.parametrize(
    ("bound", "own", "source4", "source6", "outward"),
    [
        (("0.0.0.0", "::"), "all", "", "", "all"),
        (("0.0.0.0",), "all", "", "", "ipv4"),
        (("203.0.113.5",), "203.0.113.5", "203.0.113.5", "", "ipv4"),
        (("203.0.113.5", "2001:db8::5"), "203.0.113.5, [2001:db8::5]", "203.0.113.5", "2001:db8::5", "all"),
        (("203.0.113.5", "::"), "all", "203.0.113.5", "", "all"),
        (("127.0.15.1",), "127.0.0.1", "", "", "ipv4"),
        (("127.0.15.1", "::1"), "127.0.0.1, [::1]", "", "", "all"),
        (("2001:db8::5",), "[2001:db8::5]", "", "2001:db8::5", "ipv6"),
        ((), "all", "", "", "all"),
    ],
)
def test_addresses(bound: tuple[str, ...], own: str, source4: str, source6: str, outward: str) -> None:
    assert values.inet_interfaces(bound) == own
    assert values.source_address(bound, 4) == source4
    assert values.source_address(bound, 6) == source6
    assert values.outbound_inet_protocols(bound, ipv6=True) == outward


def test_a_machine_without_ipv6_uses_none() -> None:
    assert values.outbound_inet_protocols(("0.0.0.0",), ipv6=False) == "ipv4"
    made = listeners(settings(ROOT, bind_address4="0.0.0.0", bind_address6="::"), ipv6=False)
    assert {listener.address for listener in made} == {"0.0.0.0"}


def test_networks_stand_as_mynetworks_wants_them() -> None:
    assert [values.postfix_network(one) for one in networks("192.0.2.0/24", "2001:db8::/32")] == [
        "192.0.2.0/24",
        "[2001:db8::]/32",
    ]


def test_each_port_has_one_listener_an_address_or_one_gate() -> None:
    chosen = settings(ROOT, bind_address4="192.0.2.1", bind_address6="2001:db8::1", proxy_protocol=frozenset({465}))
    made = [(one.service, one.type, one.kind, one.implicit_tls) for one in listeners(chosen, ipv6=True)]
    assert made == [
        ("192.0.2.1:25", "inet", "smtp", False),
        ("[2001:db8::1]:25", "inet", "smtp", False),
        ("gate-465", "pass", "submissions", True),
        ("192.0.2.1:587", "inet", "submission", False),
        ("[2001:db8::1]:587", "inet", "submission", False),
    ]


def test_ports_that_are_not_asked_for_stay_closed() -> None:
    assert [one.port for one in listeners(settings(ROOT, ports=frozenset({25, 993})), ipv6=False)] == [25]
    plain = settings(ROOT, tls_flavor="notls")
    assert [(one.port, one.tls) for one in listeners(plain, ipv6=False)] == [(25, False), (587, False)]


def test_tls_that_ends_at_a_balancer_is_not_spoken_here() -> None:
    made = {one.port: one for one in listeners(settings(ROOT, tls=frozenset({443, 993})), ipv6=False)}
    assert (made[465].tls, made[465].implicit_tls) == (False, False)
    assert (made[587].tls, made[587].implicit_tls) == (True, False)


@pytest.mark.parametrize(
    ("level", "validates", "used"),
    [
        ("dane", True, "dane"),
        ("dane", False, "may"),
        ("dane-only", False, "encrypt"),
        ("secure", False, "secure"),
        ("none", False, "none"),
    ],
)
def test_dane_needs_a_resolver_that_validates(level: str, validates: bool, used: str) -> None:
    found = values.outbound_tls(settings(ROOT, outbound_tls_level=level), resolver_validates=validates)
    assert found.level == used
    assert bool(found.note) is (level != used)
    assert found.dane is (used == "dane")


@pytest.mark.parametrize(
    ("host", "level", "route", "implicit", "policy"),
    [
        ("[smart.example]:587", "dane", "smtp:[smart.example]:587", "", "secure"),
        ("smart.example", "may", "smtp:smart.example", "", "secure"),
        ("[smart.example]:587", "encrypt", "smtp:[smart.example]:587", "", "secure"),
        ("[smart.example]:587", "verify", "smtp:[smart.example]:587", "", ""),
        ("[smart.example]:587", "dane-only", "smtp:[smart.example]:587", "", ""),
        ("[smart.example]:465", "dane", "smarthost:[smart.example]:465", "secure", ""),
        ("[smart.example]:465", "dane-only", "smarthost:[smart.example]:465", "dane-only", ""),
        ("[smart.example]:submissions", "secure", "smarthost:[smart.example]:submissions", "secure", ""),
        ("[2001:db8::465]", "may", "smtp:[2001:db8::465]", "", "secure"),
    ],
)
def test_a_smart_host_that_gets_a_password_proves_who_it_is(
    host: str, level: str, route: str, implicit: str, policy: str
) -> None:
    found = relay(host, outbound_tls_level=level, relayuser="u")
    assert (found.route, found.implicit_tls, found.tls_policy) == (route, implicit, policy)
    assert (found.log_in, found.plain) == (True, False)


def test_where_nobody_validates_dnssec_a_certificate_has_to_do() -> None:
    only = {"outbound_tls_level": "dane-only", "relayuser": "u"}
    assert relay("[smart.example]:587", resolver_validates=False, **only).tls_policy == "secure"
    assert relay("[smart.example]:465", resolver_validates=False, **only).implicit_tls == "secure"


@pytest.mark.parametrize(("port", "implicit"), [(587, ""), (465, "encrypt")])
def test_a_smart_host_that_gets_no_password_proves_nothing(port: int, implicit: str) -> None:
    found = relay(f"[smart.example]:{port}")
    assert (found.tls_policy, found.implicit_tls) == ("", implicit)
    found = relay(f"[smart.example]:{port}", outbound_tls_level="none", relayuser="u")
    assert (found.tls_policy, found.implicit_tls) == ("", implicit), "TLS was switched off"


def relay(host: str, *, resolver_validates: bool = True, **other: object) -> values.Relay:
    """RELAYHOST with these settings."""
    found = values.relay(settings(ROOT, relayhost=host, **other), resolver_validates=resolver_validates)
    assert found is not None
    return found


def test_without_a_smart_host_there_is_none() -> None:
    assert values.relay(settings(ROOT), resolver_validates=True) is None


def test_a_password_travels_plain_only_where_tls_was_switched_off() -> None:
    assert relay("[smart.example]:25", outbound_tls_level="none").plain


def test_slow_classes_keep_to_the_smart_host() -> None:
    assert values.slow_route("polite", None) == "polite:"
    plain = relay("[smart.example]:587")
    assert values.slow_route("turtle", plain) == "turtle:[smart.example]:587"
    implicit = relay("[smart.example]:465")
    assert values.slow_route("polite", implicit) == "smarthost:[smart.example]:465"


@pytest.mark.parametrize(
    ("ports", "flavor", "words"),
    [
        ({25, 465, 587}, "cert", "use port 465 with SSL/TLS or 587 with STARTTLS"),
        ({25, 465}, "cert", "use port 465 with SSL/TLS"),
        ({25, 465, 587}, "notls", "use port 587"),
        ({25}, "cert", ""),
    ],
)
def test_what_people_are_told_who_came_to_port_25(ports: set[int], flavor: str, words: str) -> None:
    assert values.remedy(settings(ROOT, ports=frozenset(ports), tls_flavor=flavor)) == words
