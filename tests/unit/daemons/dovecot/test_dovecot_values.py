"""What the templates are filled with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.room_harness import GOLDEN_ROOT, HOST, make_request, make_settings

from mailu.daemons.dovecot import values
from mailu.daemons.dovecot.listeners import logins


@pytest.mark.parametrize(("version", "dialect"), [((2, 3), "2.3"), ((2, 4), "2.4"), ((2, 5), "2.4")])
def test_the_version_decides_the_dialect(version: tuple[int, int], dialect: str) -> None:
    assert values.dialect(replace(HOST, dovecot=version)) == dialect


def test_all_addresses_have_dovecots_own_words() -> None:
    assert values.listen_words(["0.0.0.0", "::"]) == ["*", "::"]
    assert values.listen_words(["192.0.2.1"]) == ["192.0.2.1"]
    assert values.listen_words([]) == ["127.0.0.1"]


def test_a_percent_sign_is_not_a_variable() -> None:
    assert values.greeting(make_settings(IMAP_GREETING="100% mail")) == "100%% mail"


@pytest.mark.parametrize(
    ("profile", "min_protocol", "listed"), [("modern", "TLSv1.3", False), ("intermediate", "TLSv1.2", True)]
)
def test_the_tls_profile(profile: str, min_protocol: str, listed: bool) -> None:
    tls = values.tls(make_settings(TLS_PROFILE_IMAP=profile))
    assert tls is not None
    assert tls.min_protocol == min_protocol
    assert bool(tls.ciphers) is listed


def test_no_profile_without_tls() -> None:
    assert values.tls(make_settings(TLS_FLAVOR="notls")) is None


def test_full_text_search_needs_its_package(tmp_path: Path) -> None:
    request = make_request()
    assert not values.search(request, tmp_path)
    [note] = values.search_notes(request, tmp_path)
    assert "dovecot-fts-xapian" in note
    (tmp_path / values.SEARCH_PLUGINS["2.3"]).touch()
    assert values.search(request, tmp_path)
    assert values.search_notes(request, tmp_path) == []


def test_switched_off_search_is_no_reason_for_a_note(tmp_path: Path) -> None:
    request = make_request({"FULL_TEXT_SEARCH": "off"})
    assert not values.search(request, tmp_path)
    assert values.search_notes(request, tmp_path) == []


def test_languages_that_dovecot_cannot_stem_are_left_out() -> None:
    assert values.search_languages(make_settings(FULL_TEXT_SEARCH="de,xx,fr")) == ["de", "fr"]
    assert values.search_languages(make_settings(FULL_TEXT_SEARCH="xx")) == ["en"]


def test_tika_is_asked_only_when_attachments_are_wanted() -> None:
    wanted = {"FULL_TEXT_SEARCH_ATTACHMENTS": "true", "FTS_ATTACHMENTS_ADDRESS": "tika"}
    assert values.tika(make_settings(GOLDEN_ROOT, **wanted)) == "http://tika:9998/tika/"
    assert values.tika(make_settings(GOLDEN_ROOT, **wanted | {"FULL_TEXT_SEARCH_ATTACHMENTS": "false"})) == ""
    assert values.tika(make_settings(GOLDEN_ROOT, **wanted | {"FTS_ATTACHMENTS_ADDRESS": "2001:db8::1"})).startswith(
        "http://[2001:"
    )


@pytest.mark.parametrize("small", ["true", "false"])
def test_the_inner_services_can_take_every_connection_that_may_come(small: str) -> None:
    settings = make_settings(SMALL_HOST=small)
    found = logins(settings, processors=4)
    limits = values.limits(settings, found, 4)
    assert limits["auth_clients"] > sum(login.processes * login.clients for login in found) + limits["imap_processes"]
    assert limits["auth_clients"] < 20_000, "file descriptors that any machine allows"
    assert limits["auth_workers"] > 10, "ten who wait for slow hashes hold up neither log-ins nor deliveries"


def test_two_roots_of_one_machine_have_different_instances() -> None:
    assert values.instance_name(make_settings(Path("/a"))) != values.instance_name(make_settings(Path("/b")))


def test_text_between_the_quotes_of_lua_stays_there() -> None:
    assert values.lua_quoted('a"\\b') == 'a\\"\\\\b'
