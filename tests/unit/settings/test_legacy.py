"""Settings of earlier releases."""

from __future__ import annotations

import pytest

from mailu.settings import BY_NAME, load_settings
from mailu.settings.legacy import CONSUMED, NO_EFFECT, RENAMED, translate

MINIMAL = {"SECRET_KEY": "0123456789abcdef", "DOMAIN": "example.com", "HOSTNAMES": "mail.example.com"}


def test_no_old_name_is_a_name_of_today_and_every_translation_leads_to_one() -> None:
    old = {*NO_EFFECT, *RENAMED, *CONSUMED}
    assert not old & set(BY_NAME)
    assert set(RENAMED.values()) <= set(BY_NAME)


@pytest.mark.parametrize("name", sorted(NO_EFFECT))
def test_a_name_without_effect_is_explained_once(name: str) -> None:
    assert translate({name: "x"}) == ({}, [f"{name} has no effect any more: {NO_EFFECT[name]}"])


def test_an_old_name_without_a_value_is_no_news() -> None:
    assert translate({"VERSION": "", "HOST_IMAP": " "}) == ({}, [])


def test_an_old_name_is_translated_and_its_port_dropped() -> None:
    values, notes = translate({"HOST_IMAP": "store.example:10143"})
    assert values == {"IMAP_ADDRESS": "store.example"}
    assert notes == ["HOST_IMAP is an old name; write IMAP_ADDRESS instead (it is understood)"]


def test_the_name_of_today_beats_the_old_one() -> None:
    values, notes = translate({"HOST_IMAP": "old", "IMAP_ADDRESS": "new"})
    assert values == {"IMAP_ADDRESS": "new"}
    assert notes == ["HOST_IMAP is ignored, because IMAP_ADDRESS is given"]


@pytest.mark.parametrize(("old", "today"), [("mail", "cert"), ("mail-letsencrypt", "letsencrypt")])
def test_tls_for_mail_only_keeps_the_web_plain(old: str, today: str) -> None:
    settings = load_settings(None, MINIMAL | {"TLS_FLAVOR": old})
    assert settings.tls_flavor == today
    assert settings.web_is_plain
    assert settings.tls_listening_ports == {465, 993, 995}


def test_the_seed_document_s_spelling_of_cert_is_understood() -> None:
    assert load_settings(None, MINIMAL | {"TLS_FLAVOR": "certs"}).tls_flavor == "cert"


def test_certbot_meant_letsencrypt() -> None:
    assert translate({"ENABLE_CERTBOT": "True"})[0] == {"TLS_FLAVOR": "letsencrypt"}
    assert translate({"ENABLE_CERTBOT": "False"})[0] == {}


@pytest.mark.parametrize("old", ["rainloop", "snappymail"])
def test_other_webmails_become_roundcube_with_a_word(old: str) -> None:
    settings = load_settings(None, MINIMAL | {"WEBMAIL": old})
    assert settings.webmail == "roundcube"
    assert len(settings.warnings) == 1


def test_single_variables_of_the_database_become_one_url() -> None:
    given = {"DB_FLAVOR": "postgresql", "DB_USER": "u", "DB_PW": "p@ss/word", "DB_HOST": "db", "DB_APPENDIX": "?ssl=1"}
    values, _notes = translate(given)
    assert values == {"SQLALCHEMY_DATABASE_URI": "postgresql://u:p%40ss%2Fword@db/mailu?ssl=1"}


def test_the_database_in_a_container_s_data_folder_is_found_below_the_root() -> None:
    values, _ = translate({"SQLALCHEMY_DATABASE_URI": "sqlite:////data/main.db", "ROOT": "/srv/mail/"})
    assert values["SQLALCHEMY_DATABASE_URI"] == "sqlite:////srv/mail/data/main.db"
    values, _ = translate({"DB_FLAVOR": "sqlite"})
    assert values["SQLALCHEMY_DATABASE_URI"] == "sqlite:////mailu/data/main.db"


def test_the_webmail_s_database_is_translated_too() -> None:
    values, _ = translate({"ROUNDCUBE_DB_FLAVOR": "mysql", "ROUNDCUBE_DB_PW": "x"})
    assert values == {"SQLALCHEMY_DATABASE_URI_ROUNDCUBE": "mysql://roundcube:x@database/roundcube"}


def test_a_file_of_today_s_mailu_loads_with_an_explanation_for_each_line_that_does_nothing() -> None:
    settings = load_settings(
        None,
        MINIMAL
        | {"AUTH_RATELIMIT": "10/minute;1000/hour", "PASSWORD_SCHEME": "PBKDF2", "CREDENTIAL_ROUNDS": "12"}
        | {"DISABLE_STATISTICS": "True", "RELAYNETS": "", "REJECT_UNLISTED_RECIPIENT": "", "VERSION": "2024.06"},
    )
    assert sorted(warning.partition(" ")[0] for warning in settings.warnings) == [
        "AUTH_RATELIMIT", "CREDENTIAL_ROUNDS", "DISABLE_STATISTICS", "PASSWORD_SCHEME",
    ]  # fmt: skip
