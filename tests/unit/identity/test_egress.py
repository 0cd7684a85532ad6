"""Which addresses SPF has to name apart: those that mail leaves from and that the main host's records do not name."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.room_harness import make_settings

from mailu.identity import egress
from mailu.identity.dns_answers import DnsUnknown, Found
from mailu.identity.egress import look_for_unnamed, unnamed
from mailu.identity.issuing.certbot import issuer_of
from mailu.places import Places

FOUR, SIX = "192.31.196.25", "2620:4f:8000::25"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A root on a machine that sends from these two addresses."""
    monkeypatch.setattr(egress, "_source", {4: FOUR, 6: SIX}.get)
    (tmp_path / "data").mkdir()
    return Places(tmp_path)


def named(*addresses: str) -> object:
    """DNS in which the main host has these addresses."""

    def look(_name: str, kind: str) -> Found:
        return Found(tuple(one for one in addresses if (":" in one) == (kind == "AAAA")))

    return look


def silent(_name: str, _kind: str) -> Found:
    raise DnsUnknown("nobody answers")


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [((FOUR, SIX), ()), ((FOUR,), (SIX,)), ((SIX,), (FOUR,)), (("192.0.2.1",), (FOUR, SIX)), ((), ())],
)
def test_what_the_main_host_does_not_name_is_kept(places: Places, addresses: tuple[str], expected: tuple[str]) -> None:
    settings = make_settings(BIND_ADDRESS4="", BIND_ADDRESS6="")
    assert look_for_unnamed(settings, places, named(*addresses)) == expected  # type: ignore[arg-type]
    assert unnamed(places) == expected


def test_without_an_answer_what_was_known_stays(places: Places) -> None:
    settings = make_settings(BIND_ADDRESS4="", BIND_ADDRESS6="")
    look_for_unnamed(settings, places, named(FOUR))  # type: ignore[arg-type]
    assert look_for_unnamed(settings, places, silent) == (SIX,)


def test_mail_through_a_smart_host_leaves_from_there(places: Places) -> None:
    settings = make_settings(RELAYHOST="[smart.example.net]:587")
    assert look_for_unnamed(settings, places, named("192.0.2.1")) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("server", "issuer"),
    [
        ("https://acme-v02.api.letsencrypt.org/directory", "letsencrypt.org"),
        ("https://acme.zerossl.com/v2/DV90", "sectigo.com"),
        ("https://notletsencrypt.org/directory", None),
        ("https://127.0.0.1:14000/dir", None),
    ],
)
def test_caa_names_the_authority_that_is_asked(server: str, issuer: str | None) -> None:
    assert issuer_of(server) == issuer
