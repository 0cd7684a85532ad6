"""What follows from several settings, and how they are handed on and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailu.address import DomainName
from mailu.settings import BY_NAME, VARIABLES, Settings, load_settings

MINIMAL = {"SECRET_KEY": "0123456789abcdef", "DOMAIN": "example.com", "HOSTNAMES": "mail.example.com"}


def settings_of(**more: str) -> Settings:
    return load_settings(None, MINIMAL | more)


def test_without_tls_the_tls_ports_stay_closed_and_the_web_is_plain() -> None:
    settings = settings_of(TLS_FLAVOR="notls", PORTS="25,80,143,443,465,993")
    assert settings.listening_ports == {25, 80, 143}
    assert settings.tls_listening_ports == frozenset()
    assert settings.web_is_plain
    assert not settings.secure_cookies


def test_with_tls_cookies_are_secure_and_the_web_is_not_plain() -> None:
    settings = settings_of()
    assert settings.secure_cookies
    assert not settings.web_is_plain
    assert settings.tls_listening_ports == {443, 465, 993, 995}


def test_the_operator_decides_about_cookies() -> None:
    assert not settings_of(SESSION_COOKIE_SECURE="false").secure_cookies


def test_a_listener_group_can_have_a_tls_profile_of_its_own() -> None:
    settings = settings_of(TLS_PROFILE="modern", TLS_PROFILE_IMAP="old")
    assert [settings.tls_profile_of(group) for group in ("web", "imap", "submission")] == ["modern", "old", "modern"]


@pytest.mark.parametrize(
    ("given", "homepage"),
    [
        ({}, "/webmail"),
        ({"WEBMAIL": "none"}, "/admin"),
        ({"WEBMAIL": "none", "ADMIN": "no"}, None),
        ({"WEBROOT_REDIRECT": "none"}, None),
        ({"WEBROOT_REDIRECT": "https://example.org/"}, "https://example.org/"),
        ({"WEBROOT_REDIRECT": "/sso/login"}, "/sso/login"),
    ],
)
def test_where_the_first_page_leads(given: dict[str, str], homepage: str | None) -> None:
    assert settings_of(**given).homepage == homepage


def test_databases_are_below_the_root_unless_said_otherwise() -> None:
    settings = settings_of(ROOT="/srv/m")
    assert settings.database_uri == "sqlite:////srv/m/data/main.db"
    assert settings.roundcube_database_uri == "sqlite:////srv/m/webmail/roundcube.db"
    assert settings_of(SQLALCHEMY_DATABASE_URI="postgresql://h/n").database_uri == "postgresql://h/n"


def test_the_postmaster_is_at_the_main_domain() -> None:
    assert str(settings_of(POSTMASTER="Me").postmaster_address) == "me@example.com"


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        settings_of().domain = DomainName("other.example")  # type: ignore[misc]


def test_what_is_handed_on_is_the_same() -> None:
    settings = settings_of(API_TOKEN="tökén-ü", WELCOME_BODY="two\nlines", RELAYNETS="192.0.2.0/24,2001:db8::/32")
    assert Settings.from_json(settings.to_json()) == settings


def test_an_older_hand_over_gets_defaults_and_an_unknown_name_is_passed_over() -> None:
    text = '{"values": {"SECRET_KEY": "k", "DOMAIN": "a.example", "HOSTNAMES": "m.a.example", "NEW": "x"}, '
    settings = Settings.from_json(text + '"secret_key_from_file": true}')
    assert settings.message_size_limit == 50000000
    assert settings.secret_key_from_file


@given(st.fixed_dictionaries({}, optional={
    "SITENAME": st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    "ADMIN": st.sampled_from(["yes", "no"]),
    "PORTS": st.sets(st.sampled_from([25, 80, 143]), min_size=1).map(lambda ports: ",".join(map(str, ports))),
    "MESSAGE_SIZE_LIMIT": st.integers(0, 10**12).map(str),
    "RECIPIENT_DELIMITER": st.text("+-_.", min_size=1),
    "AUTH_RATELIMIT_USER": st.integers(1, 999).map(lambda count: f"{count}/day"),
}))  # fmt: skip
def test_any_settings_are_handed_on_unchanged(given: dict[str, str]) -> None:
    settings = settings_of(**given)
    assert Settings.from_json(settings.to_json()) == settings


def test_nothing_secret_is_shown() -> None:
    secrets = {variable.name: f"hush-{number}" for number, variable in enumerate(VARIABLES) if variable.secret}
    for name in ("SQLALCHEMY_DATABASE_URI", "SQLALCHEMY_DATABASE_URI_ROUNDCUBE"):
        secrets[name] = "postgresql://ann:hush@db.example/mail?sslpassword=hush"
    for name in ("RATELIMIT_STORAGE_URL", "SESSION_STORAGE_URL"):
        secrets[name] = "redis://:hush@redis/2"
    settings = load_settings(None, MINIMAL | {"RELAYUSER": "u"} | secrets)
    assert "hush" not in "".join(settings.shown(variable) for variable in VARIABLES)
    assert "hush" not in repr(settings)
    assert settings.shown(BY_NAME["SECRET_KEY"]) == "<hidden>"
    assert settings.shown(BY_NAME["SQLALCHEMY_DATABASE_URI"]) == "postgresql://ann:<hidden>@db.example/mail?<hidden>"
    assert settings.shown(BY_NAME["RATELIMIT_STORAGE_URL"]) == "redis://:<hidden>@redis/2"


def test_a_database_url_without_a_password_is_shown_whole() -> None:
    settings = settings_of(SQLALCHEMY_DATABASE_URI="sqlite:////srv/main.db")
    assert settings.shown(BY_NAME["SQLALCHEMY_DATABASE_URI"]) == "sqlite:////srv/main.db"


def test_every_variable_has_an_attribute_a_meaning_and_a_sentence() -> None:
    for variable in VARIABLES:
        assert hasattr(settings_of(), variable.attribute)
        assert variable.meaning.endswith((".", ")")), variable.name
    assert len(BY_NAME) == len(VARIABLES)


def test_values_have_the_types_that_the_services_expect() -> None:
    settings: Any = settings_of()
    assert isinstance(settings.root, Path)
    assert isinstance(settings.ports, frozenset)
    assert isinstance(settings.bind_address4, str)
