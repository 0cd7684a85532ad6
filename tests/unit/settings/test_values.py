"""Each parser of a value: what it takes, what it refuses, and that it reads back what it writes."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailu.address import parse_address
from mailu.settings import VARIABLES, values
from mailu.settings.values import Kind, Rate, Routed


@pytest.mark.parametrize("word", ["true", "True", "YES", "on", "1", " true "])
def test_yes_in_any_spelling(word: str) -> None:
    assert values.boolean.parse(word) is True


@pytest.mark.parametrize("word", ["false", "False", "NO", "off", "0", "none"])
def test_no_in_any_spelling(word: str) -> None:
    assert values.boolean.parse(word) is False


@pytest.mark.parametrize("word", ["flase", "tru", "2", "enabled", "ja"])
def test_a_misspelt_boolean_is_refused_and_never_true(word: str) -> None:
    with pytest.raises(ValueError, match="neither yes nor no"):
        values.boolean.parse(word)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("50000000", 50000000), ("50 MB", 50_000_000), ("50MiB", 52_428_800), ("1gb", 10**9), ("3 B", 3)],
)
def test_sizes(text: str, size: int) -> None:
    assert values.size.parse(text) == size


def test_an_ambiguous_unit_is_refused_with_both_meanings() -> None:
    with pytest.raises(ValueError, match=r"write 50MB .* or 50MiB"):
        values.size.parse("50M")


@pytest.mark.parametrize("text", ["-1", "1.5 GB", "lots", "50 XB", "9" * 18 + "TiB", "9" * 30])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError):
        values.size.parse(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("600", 600), ("10m", 600), ("2h", 7200), ("30 d", 2592000), ("1w", 604800)]
)
def test_durations(text: str, seconds: int) -> None:
    assert values.duration.parse(text) == seconds


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5/hour", Rate(5, 3600)),
        ("200/day", Rate(200, 86400)),
        ("10 per 2 hours", Rate(10, 7200)),
        ("60 / minute", Rate(60, 60)),
        ("1/month", Rate(1, 2592000)),
        ("none", None),
        ("unlimited", None),
    ],
)
def test_rates(text: str, rate: Rate | None) -> None:
    assert values.rate.parse(text) == rate


@pytest.mark.parametrize("text", ["5", "hour", "0/day", "5/fortnight", "-5/day", "5/0 day"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError):
        values.rate.parse(text)


def test_several_rates_are_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="one rate only"):
        values.rate.parse("10/minute;1000/hour")


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [
        ("5/hour", 5, 3_600),
        ("10 per 2 hours", 10, 7_200),
        ("3/month", 3, 30 * 86_400),
        ("2/year", 2, 360 * 86_400),
        ("7/minute", 7, 60),
    ],
)
def test_lengths_of_rates_are_those_of_the_limits_library(text: str, count: int, seconds: int) -> None:
    """Which an earlier Mailu reads them with: a month has 30 days there, and a year twelve of them."""
    assert values.parse_rate(text) == Rate(count, seconds)


def test_networks_are_separated_by_commas_or_blanks_and_may_have_postfix_brackets() -> None:
    parsed = values.networks.parse("192.0.2.7/24, [2001:db8::]/32 198.51.100.1,,192.0.2.0/24")
    assert parsed == tuple(map(ipaddress.ip_network, ("192.0.2.0/24", "2001:db8::/32", "198.51.100.1/32")))


@pytest.mark.parametrize("text", ["192.0.2.0/33", "example.com", "192.0.2.0/24;10.0.0.0/8"])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|not a network"):
        values.networks.parse(text)


def test_host_names_are_canonical_and_need_a_domain() -> None:
    assert values.host_names.parse("Mail.Example.COM , bücher.example.") == (
        "mail.example.com",
        "xn--bcher-kva.example",
    )
    with pytest.raises(ValueError, match="full host name"):
        values.host_names.parse("mail")


def test_port_groups_of_the_proxy_protocol() -> None:
    mail = {25, 110, 995, 143, 993, 587, 465, 4190}
    assert values.proxy_ports.parse("mail") == mail
    assert values.proxy_ports.parse("all-but-http") == mail | {443}
    assert values.proxy_ports.parse("all") == mail | {443, 80}
    assert values.proxy_ports.parse("25,465") == {25, 465}


@pytest.mark.parametrize("text", ["24", "25,smtp", "0025x", "²5"])
def test_a_port_that_nothing_listens_on_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not one of them"):
        values.ports.parse(text)


@pytest.mark.parametrize("word", ["off", "false", "0", "none", "NO"])
def test_full_text_search_can_be_switched_off(word: str) -> None:
    assert values.languages.parse(word) == ()


def test_full_text_search_that_is_just_on_is_english() -> None:
    assert values.languages.parse("true") == ("en",)


def test_a_machine_without_time_zones_takes_any_name_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no such time zone"):
        values.time_zone.parse("Mars/Olympus")
    monkeypatch.setattr("zoneinfo.TZPATH", ("/nonexistent",))
    assert values.time_zone.parse("Mars/Olympus") == "Mars/Olympus"
    with pytest.raises(ValueError, match="form"):
        values.time_zone.parse("Mars; rm")


def test_the_bind_address_must_be_of_its_version() -> None:
    assert values.bind_address(4).parse("127.0.0.1") == "127.0.0.1"
    assert values.bind_address(6).parse("[::1]") == "::1"
    assert values.bind_address(4).parse("*") == "0.0.0.0"
    assert values.bind_address(6).parse("none") == ""
    with pytest.raises(ValueError, match="IPv6"):
        values.bind_address(4).parse("::1")


@pytest.mark.parametrize("text", ["imap.example.com", "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "tika"])
def test_a_service_address(text: str) -> None:
    assert values.service_address.parse(text) == text.strip("[]")


@pytest.mark.parametrize("text", ["imap:143", "https://x", "a b"])
def test_a_service_address_has_no_port(text: str) -> None:
    with pytest.raises(ValueError):
        values.service_address.parse(text)


@pytest.mark.parametrize("text", ["[smtp.example.com]:587", "smtp.example.com", "[2001:db8::1]:25", "relay:2525"])
def test_smart_hosts(text: str) -> None:
    assert values.next_hop.parse(text) == text


@pytest.mark.parametrize("text", ["smtp.example.com:25 x", "[a]:25:26", "a,b", "a\nb"])
def test_what_is_no_smart_host(text: str) -> None:
    with pytest.raises(ValueError):
        values.next_hop.parse(text)


@pytest.mark.parametrize("text", ["admin", "/ad min", "/a'b", "/a;b", "/../x", "//x", "/x{}"])
def test_a_path_that_could_leave_its_place_in_a_configuration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        values.url_path.parse(text)


def test_a_path_loses_its_last_slash() -> None:
    assert values.url_path.parse("/mail/") == "/mail"
    assert values.url_path.parse("/") == "/"


@pytest.mark.parametrize("text", ["/", "mailu", "/a/../b", ""])
def test_a_root_is_an_absolute_path_below_the_machines(text: str) -> None:
    with pytest.raises(ValueError):
        values.parse_root(text)


def test_a_root_is_normalised() -> None:
    assert values.parse_root(" /srv//mailu/ ") == Path("/srv/mailu")


def test_slow_destinations_are_polite_unless_said_otherwise() -> None:
    kind = values.routed(("polite", "turtle"), "polite")
    assert kind.parse("a.example, b.example:turtle") == (
        Routed(_d("a.example"), "polite"),
        Routed(_d("b.example"), "turtle"),
    )
    with pytest.raises(ValueError, match="after the colon"):
        kind.parse("a.example:quick")


def _d(name: str) -> Any:
    return values.domain.parse(name)


def test_a_list_can_be_emptied() -> None:
    assert values.addresses.parse("none") == ()


def test_addresses_are_canonical() -> None:
    assert values.addresses.parse("Ann@Example.com") == (parse_address("ann@example.com"),)


def test_what_cannot_be_switched_off_says_why() -> None:
    with pytest.raises(ValueError, match="mail waits"):
        values.always("mail waits").parse("none")
    assert values.always("x").parse("rspamd") is True


def test_delimiters_are_a_set() -> None:
    assert values.delimiters.parse("+-+") == "+-"
    assert values.delimiters.parse("none") == ""
    with pytest.raises(ValueError, match="cannot separate"):
        values.delimiters.parse("+@")


NETWORKS = st.one_of(
    st.ip_addresses(v=4).map(lambda ip: ipaddress.ip_network(f"{ip}/24", strict=False)),
    st.ip_addresses(v=6).map(lambda ip: ipaddress.ip_network(f"{ip}/48", strict=False)),
)
PERIODS = st.sampled_from([1, 60, 3600, 86400, 2592000])


@given(
    st.builds(
        lambda count, times, period: Rate(count, times * period), st.integers(1, 10**9), st.integers(1, 99), PERIODS
    )
)
def test_a_rate_reads_back(rate: Rate) -> None:
    assert values.rate.parse(values.rate.show(rate)) == rate


@given(st.lists(NETWORKS, unique=True).map(tuple))
def test_networks_read_back(networks: tuple[values.Network, ...]) -> None:
    assert values.networks.parse(values.networks.show(networks)) == networks


@given(st.sets(st.sampled_from(values.LISTENER_PORTS)).map(frozenset))
def test_ports_read_back(ports: frozenset[int]) -> None:
    assert values.ports.parse(values.ports.show(ports)) == ports


@given(st.integers(0, 2**62))
def test_sizes_read_back(size: int) -> None:
    assert values.size.parse(values.size.show(size)) == size


@given(st.decimals(-999999, 999999, places=6).map(float))
def test_scores_read_back(score: float) -> None:
    assert values.score.parse(values.score.show(score)) == pytest.approx(score)


@pytest.mark.parametrize(
    "kind", {variable.kind.form: variable.kind for variable in VARIABLES}.values(), ids=lambda kind: kind.form
)
@given(text=st.text(max_size=40))
def test_any_text_is_a_value_that_reads_back_or_a_value_error(kind: Kind[Any], text: str) -> None:
    try:
        value = kind.parse(text)
    except ValueError:
        return
    assert kind.parse(kind.show(value)) == value
