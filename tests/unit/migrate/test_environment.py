"""What becomes of each line of an old ``mailu.env``, and how the new one is written."""

from __future__ import annotations

import pytest

from mailu.migrate.environment import EARLIER_DEFAULTS, Line, account_for, changed_text, first_text
from mailu.settings import BY_NAME, legacy
from mailu.settings.envfile import parse_env

QUIET = "\n".join(f"{name}={value}" for name, value in EARLIER_DEFAULTS.items())
"""Lines without which defaults that have changed are written down."""


def lines_of(text: str) -> dict[str, Line]:
    return {line.name: line for line in account_for(parse_env(text))}


def line_of(text: str) -> Line:
    return lines_of(text)[text.partition("=")[0]]


@pytest.mark.parametrize(
    ("text", "outcome", "variables", "words"),
    [
        ("DOMAIN=example.org", "kept", {"DOMAIN": "example.org"}, "line 1"),
        ("RELAYHOST=", "kept", {"RELAYHOST": ""}, "the default holds"),
        ("ROOT=/mailu", "explained", {}, "the new root"),
        ("BIND_ADDRESS4=192.0.2.1", "explained", {}, "at the new place"),
        ("ANTIVIRUS_ADDRESS=antivirus", "explained", {}, "find each other"),
        ("HOST_IMAP=imap", "explained", {}, "IMAP_ADDRESS"),
        ("SQLALCHEMY_DATABASE_URI=postgresql://a:b@db/mailu", "explained", {}, "taken over"),
        ("PASSWORD_SCHEME=PBKDF2", "explained", {}, "argon2id"),
        ("POD_ADDRESS_RANGE=10.0.0.0/8", "translated", {"SUBNET": "10.0.0.0/8"}, "SUBNET=10.0.0.0/8"),
        ("TLS_FLAVOR=mail", "translated", {"TLS_FLAVOR": "cert", "TLS": "465,993,995"}, "TLS_FLAVOR=cert"),
        ("TLS_FLAVOR=certs", "translated", {"TLS_FLAVOR": "cert"}, "TLS_FLAVOR=cert"),
        ("WEBMAIL=snappymail", "translated", {"WEBMAIL": "roundcube"}, "WEBMAIL=roundcube"),
        ("RECIPIENT_DELIMITER=", "translated", {"RECIPIENT_DELIMITER": "none"}, "which meant none"),
        ("ANTISPAM=none", "explained", {}, "always on"),
        ("MESSAGE_SIZE_LIMT=1", "explained", {}, "did you mean MESSAGE_SIZE_LIMIT?"),
        ("SOMETHING_ELSE=1", "explained", {}, "not a setting"),
        ("PORTS=25,26", "refused", {}, "expected ports"),
        ("SECRET_KEY_FILE=/run/secrets/key", "kept", {"SECRET_KEY_FILE": "/run/secrets/key"}, "has to be there"),
        ("SQLALCHEMY_DATABASE_URI_ROUNDCUBE=sqlite:////data/roundcube.db", "explained", {}, "webmail/roundcube.db"),
        ("SQLALCHEMY_DATABASE_URI_ROUNDCUBE=mysql://r:p@db/rc", "kept",
         {"SQLALCHEMY_DATABASE_URI_ROUNDCUBE": "mysql://r:p@db/rc"}, "at a time"),
    ],
)  # fmt: skip
def test_a_line(text: str, outcome: str, variables: dict[str, str], words: str) -> None:
    line = line_of(text)
    assert (line.outcome, line.variables) == (outcome, variables)
    assert words in line.text


def test_every_known_name_is_accounted_for() -> None:
    names = [*BY_NAME, *legacy.KNOWN]
    found = lines_of("\n".join(f"{name}=" for name in names))
    assert set(names) <= found.keys()


def test_secrets_are_never_told() -> None:
    text = "\n".join(["SECRET_KEY=hush-hush-hush-hush", "RELAYPASSWORD=hush", "DB_PW=hush", "API_TOKEN=hush4",
                      "INITIAL_ADMIN_PW=hush", "SQLALCHEMY_DATABASE_URI=mysql://u:hush@h/d",
                      "SQLALCHEMY_DATABASE_URI_ROUNDCUBE=mysql://u:hush@h/d"])  # fmt: skip
    assert not [line for line in account_for(parse_env(text)) if "hush" in line.text]


def test_single_variables_of_the_webmails_database_become_one_line() -> None:
    text = "ROUNDCUBE_DB_FLAVOR=mysql\nROUNDCUBE_DB_PW=p w\nROUNDCUBE_DB_HOST=db.example\n"
    written = {name: value for line in account_for(parse_env(text)) for name, value in line.variables.items()}
    assert written["SQLALCHEMY_DATABASE_URI_ROUNDCUBE"] == "mysql://roundcube:p%20w@db.example/roundcube"


def test_defaults_that_have_changed_are_written_down() -> None:
    found = lines_of("DOMAIN=example.org\n")
    assert {name: found[name].variables[name] for name in EARLIER_DEFAULTS} == EARLIER_DEFAULTS


def test_the_new_file_keeps_order_and_comments() -> None:
    text = f"# Ours\n\nDOMAIN=example.org   # the main one\nVERSION=2.0\nDB_PW=hush\nHOST_SMTP=smtp\n{QUIET}\n"
    written = first_text(text, account_for(parse_env(text)), {"ROOT": "/new"})
    assert written.startswith("# Ours\n\nDOMAIN=example.org   # the main one\n")
    assert "# VERSION=2.0   # it has no effect" in written
    assert "hush" not in written
    assert parse_env(written).values == {"DOMAIN": "example.org", **EARLIER_DEFAULTS, "ROOT": "/new"}


def test_a_name_that_stands_twice_has_its_last_value() -> None:
    text = f"SITENAME=One\nSITENAME=Two\n{QUIET}\n"
    written = first_text(text, account_for(parse_env(text)), {})
    assert parse_env(written).values["SITENAME"] == "Two"
    assert not parse_env(written).warnings


def test_values_over_several_lines_arrive() -> None:
    text = f'WELCOME_BODY="Hello\nfriend"\n{QUIET}\nSITENAME=It\'s $5 # not a comment\n'
    written = first_text(text, account_for(parse_env(text)), {})
    assert parse_env(written).values["WELCOME_BODY"] == "Hello\nfriend"
    assert not parse_env(written).problems


def test_what_an_override_says_beats_the_line() -> None:
    text = f"MESSAGE_SIZE_LIMIT=1000\n{QUIET}\n"
    written = first_text(text, account_for(parse_env(text)), {"MESSAGE_SIZE_LIMIT": "2000"})
    assert parse_env(written).values["MESSAGE_SIZE_LIMIT"] == "2000"
    assert not parse_env(written).warnings


def test_a_file_that_is_there_is_changed_in_place() -> None:
    text = "# mine\nROOT=/new\nSITENAME=Old   # nice\n\nPORTS=25\n"
    changed = changed_text(text, {"SITENAME": "New # one", "DOMAIN": "example.org"})
    assert changed.startswith("# mine\nROOT=/new\nSITENAME='New # one'\n\nPORTS=25\n")
    assert parse_env(changed).values == {
        "ROOT": "/new", "SITENAME": "New # one", "PORTS": "25", "DOMAIN": "example.org"
    }  # fmt: skip


def test_a_quoted_value_over_several_lines_that_is_there_is_not_torn() -> None:
    text = 'WELCOME_BODY="Hello\nfriend"\n'
    assert parse_env(changed_text(text, {"WELCOME_BODY": "Bye"})).values == {"WELCOME_BODY": "Bye"}
