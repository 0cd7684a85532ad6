"""Addresses, and what is taken for one source or one network."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailu.auth.clients import Client, locate


@pytest.mark.parametrize(
    ("client_ip", "expected"),
    [
        ("192.0.2.77", Client("192.0.2.77", "192.0.2.77", "192.0.2.0")),
        ("::ffff:192.0.2.77", Client("192.0.2.77", "192.0.2.77", "192.0.2.0")),
        ("2001:DB8:1:2:3:4:5:6", Client("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1::")),
        ("fe80::1%eth0", Client("fe80::1", "fe80::", "fe80::")),
        ("unknown", Client("unknown", "unknown", "unknown")),
        ("", Client("unknown", "unknown", "unknown")),
        ("192.0.2.1\n", Client("unknown", "unknown", "unknown")),
    ],
)
def test_an_address_at_three_sizes(client_ip: str, expected: Client) -> None:
    assert locate(client_ip) == expected


def test_the_operator_chooses_the_size_of_a_network() -> None:
    assert locate("192.0.2.77", v4_mask=32).network == "192.0.2.77"
    assert locate("2001:db8:1:2::9", v6_mask=32).network == "2001:db8::"


def test_exempt_networks_hold_addresses_of_their_own_kind() -> None:
    exempt = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32"))
    assert locate("192.0.2.1", exempt=exempt).exempt
    assert locate("::ffff:192.0.2.1", exempt=exempt).exempt
    assert locate("2001:db8::1", exempt=exempt).exempt
    assert not locate("198.51.100.1", exempt=exempt).exempt
    assert not locate("unknown", exempt=(ipaddress.ip_network("0.0.0.0/0"),)).exempt


@given(st.ip_addresses())
def test_a_source_lies_within_its_network(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    client = locate(str(address))
    assert locate(client.source).network == client.network
