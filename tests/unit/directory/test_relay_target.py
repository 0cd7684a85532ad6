"""The notation of relay targets, and what Postfix is told for each form of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailu.directory.relay_target import BadRelayTarget, RelayTarget, parse_relay_target


@pytest.mark.parametrize(
    ("target", "transport"),
    [
        (None, "smtp:relayed.example"),
        ("", "smtp:relayed.example"),
        ("  ", "smtp:relayed.example"),
        (":2525", "smtp:relayed.example:2525"),
        ("backend.example.net", "smtp:[backend.example.net]"),
        ("backend.example.net:2525", "smtp:[backend.example.net]:2525"),
        ("Backend.Example.NET", "smtp:[backend.example.net]"),
        ("192.0.2.1:26", "smtp:[192.0.2.1]:26"),
        ("[192.0.2.1]:26", "smtp:[192.0.2.1]:26"),
        ("[backend.example.net]", "smtp:[backend.example.net]"),
        ("[2001:db8::1]", "smtp:[ipv6:2001:db8::1]"),
        ("[2001:DB8::1]:2525", "smtp:[ipv6:2001:db8::1]:2525"),
        ("mx:backend.example.net", "smtp:backend.example.net"),
        ("MX:backend.example.net:2525", "smtp:backend.example.net:2525"),
        ("mx:", "smtp:relayed.example"),
        ("lmtp:store", "lmtp:store"),
        ("lmtp:store.example:24", "lmtp:store.example:24"),
        ("lmtp:[2001:db8::1]:24", "lmtp:[ipv6:2001:db8::1]:24"),
        ("bücher.example", "smtp:[xn--bcher-kva.example]"),
    ],
)
def test_a_target_becomes_a_transport(target: str | None, transport: str) -> None:
    assert parse_relay_target(target).transport("relayed.example") == transport


@pytest.mark.parametrize(
    "target",
    [
        "mx:[192.0.2.1]",
        "[192.0.2.1",
        "[192.0.2.1]x",
        "[192.0.2.1]:",
        "lmtp:",
        "lmtp::24",
        "host:",
        "host:smtp",
        "host:0",
        "host:65536",
        "host:٢٥",
        "2001:db8::1",
        "[2001:db8::g]",
        "two words",
        "a..b",
        "host:25:26",
    ],
)
def test_what_is_not_of_the_notation_is_refused_with_words(target: str) -> None:
    with pytest.raises(BadRelayTarget) as caught:
        parse_relay_target(target)
    assert len(str(caught.value)) > 10


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        parsed = parse_relay_target(text)
    except BadRelayTarget:
        return
    assert parse_relay_target(str(parsed)) == parsed


def test_the_stored_form_is_canonical() -> None:
    assert str(parse_relay_target("[2001:DB8:0::1]:025")) == "[2001:db8::1]:25"
    assert str(RelayTarget()) == ""
