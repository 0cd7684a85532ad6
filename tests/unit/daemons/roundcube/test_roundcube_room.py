"""The webmail's room: its files, and what it makes of the settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.room_harness import HOST, compare_with_golden, make_request, make_settings

from mailu.daemons.room import OverrideError
from mailu.daemons.roundcube import values
from mailu.daemons.roundcube.room import RoundcubeRoom, _fastcgi_request

WITH_DOORS = replace(HOST, webmail_imap_port=21_003, webmail_sieve_port=21_004, webmail_smtp_port=21_005)
ROOM = RoundcubeRoom()


@pytest.fixture(autouse=True)
def usual_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with some plug-ins, and no dictionaries."""
    for name in ("archive", "managesieve", "enigma"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.php").write_text("<?php")
    (tmp_path / "GPG.php").write_text("<?php")
    monkeypatch.setattr(values, "PLUGINS", tmp_path)
    monkeypatch.setattr(values, "CRYPT_GPG", tmp_path / "GPG.php")
    monkeypatch.setattr(values, "ASPELL", tmp_path)
    return tmp_path


CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "default": ({}, {}),
    "everything": (
        {
            "SITENAME": "Bob's \\ mail",
            "WEB_WEBMAIL": "/",
            "CONTACT_URL": "https://example.org/help",
            "LOGO_URL": "/static/logo.png",
            "ROUNDCUBE_PLUGINS": "archive,managesieve,absent",
            "SQLALCHEMY_DATABASE_URI_ROUNDCUBE": "postgresql://rc:p%40ss'w@db.example.org:5433/rc",
            "MESSAGE_SIZE_LIMIT": "100000000",
            "LOG_LEVEL": "DEBUG",
        },
        {"colours.inc.php": "<?php\n$config['x'] = 1;\n", "old.inc": "$config['y'] = 2;\n"},
    ),
    "machines": (
        {"WEBMAIL_ADDRESS": "webmail", "IMAP_ADDRESS": "imap", "SMTP_ADDRESS": "smtp", "ADMIN": "false"},
        {},
    ),
    "small-plain": ({"TLS_FLAVOR": "notls", "SMALL_HOST": "true"}, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_configuration_is_as_agreed(name: str) -> None:
    variables, overrides = CASES[name]
    request = make_request(variables, service="webmail", host=WITH_DOORS, overrides=overrides)
    files = {path: file for path, file in ROOM.render(request).items() if not path.startswith("plugins/")}
    compare_with_golden(f"roundcube/{name}", files)


def test_our_plugin_is_rendered_and_for_everybody_to_read() -> None:
    files = ROOM.render(make_request(service="webmail", host=WITH_DOORS))
    assert "class mailu extends rcube_plugin" in files["plugins/mailu/mailu.php"].text
    assert "away_title" in files["plugins/mailu/localization/en_US.inc"].text


def test_every_language_says_everything() -> None:
    files = ROOM.render(make_request(service="webmail", host=WITH_DOORS))
    texts = {path: file.text for path, file in files.items() if "/localization/" in path}
    names = {
        path: {line.split("'")[1] for line in text.splitlines() if "' => " in line} for path, text in texts.items()
    }
    assert len(texts) == 10
    for path, found in names.items():
        assert found == names["plugins/mailu/localization/en_US.inc"], path


def test_secrets_are_for_the_webmail_only() -> None:
    files = ROOM.render(make_request(service="webmail", host=WITH_DOORS))
    key = make_settings().service_key("ROUNDCUBE")
    for path, file in files.items():
        if key in file.text:
            assert (path, file.mode, file.group) == ("config.inc.php", 0o640, "mailu-webmail")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:////srv/rc.db", "sqlite:////srv/rc.db?mode=0640"),
        ("postgresql+psycopg://u:p@h/db", "pgsql://u:p@h/db"),
        ("mysql://u@h:3307/db", "mysql://u@h:3307/db"),
        ("mariadb+pymysql://u:a%2Fb@[::1]/db", "mysql://u:a%2Fb@[::1]/db"),
    ],
)
def test_the_database_is_named_in_roundcubes_words(url: str, expected: str) -> None:
    assert values.dsn(make_settings(SQLALCHEMY_DATABASE_URI_ROUNDCUBE=url)) == expected


@pytest.mark.parametrize(("text", "expected"), [("a'b", r"'a\'b'"), ("a\\", r"'a\\'"), ("$x {$y}", "'$x {$y}'")])
def test_what_is_typed_stays_a_string_in_php(text: str, expected: str) -> None:
    assert values.quoted(text) == expected


@pytest.mark.parametrize(("size_bytes", "mib"), [("50000000", 31), ("1000", 1), ("157286400", 99)])
def test_uploads_fit_into_a_message_once_they_are_encoded(size_bytes: str, mib: int) -> None:
    assert values.upload_mib(make_settings(MESSAGE_SIZE_LIMIT=size_bytes)) == mib


def test_programs_are_started_only_where_openpgp_needs_them() -> None:
    assert "proc_open" in values.disabled_functions(["mailu", "managesieve"])
    assert "proc_open" not in values.disabled_functions(["mailu", "enigma"])
    assert {"exec", "system", "popen", "mail"} <= set(values.disabled_functions(["mailu", "enigma"]))


def test_plugins_that_are_not_there_are_left_out_and_told() -> None:
    loaded, missing = values.plugins(make_settings(ROUNDCUBE_PLUGINS="managesieve,absent,mailu"))
    assert (loaded, missing) == (["mailu", "managesieve"], ["absent"])


@pytest.mark.parametrize("name", ["colours.css", "sub/x.inc.php", "x.php", "../x.inc.php"])
def test_another_kind_of_override_is_refused_by_name(name: str) -> None:
    with pytest.raises(OverrideError, match=r"NAME\.inc"):
        ROOM.render(make_request(service="webmail", overrides={name: "x"}))


def test_the_question_to_php_fpm_is_fastcgi() -> None:
    request = _fastcgi_request({"A": "bc"})
    assert request == (
        b"\x01\x01\x00\x01\x00\x08\x00\x00" + b"\x00\x01\x00\x00\x00\x00\x00\x00"
        b"\x01\x04\x00\x01\x00\x05\x00\x00" + b"\x01\x02Abc" + b"\x01\x04\x00\x01\x00\x00\x00\x00"
        b"\x01\x05\x00\x01\x00\x00\x00\x00"
    )
