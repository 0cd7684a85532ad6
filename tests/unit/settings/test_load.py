"""Loading: file and environment, what is reported, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailu.settings import BY_NAME, VARIABLES, Rate, Settings, SettingsError, load, load_settings

MINIMAL = {"SECRET_KEY": "0123456789abcdef", "DOMAIN": "example.com", "HOSTNAMES": "mail.example.com"}


def settings_of(**more: str) -> Settings:
    return load_settings(None, MINIMAL | more)


def problems_of(**more: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings_of(**more)
    return caught.value.problems


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / "mailu.env"
    path.write_text("".join(f"{name}={value}\n" for name, value in MINIMAL.items()))
    return path


def append(path: Path, *lines: str) -> Path:
    path.write_text(path.read_text() + "".join(f"{line}\n" for line in lines))
    return path


def test_three_lines_are_enough() -> None:
    settings = settings_of()
    assert settings.domain == "example.com"
    assert settings.hostnames == ("mail.example.com",)
    assert settings.warnings == ()


def test_what_is_missing_is_named_all_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, {})
    assert [problem.partition(" ")[0] for problem in caught.value.problems] == ["DOMAIN", "SECRET_KEY"]


def test_host_names_are_assumed_and_that_is_said() -> None:
    settings = settings_of(HOSTNAMES="")
    assert settings.hostnames == ("mail.example.com",)
    assert settings.warnings == ("HOSTNAMES is not set; mail.example.com is assumed",)


def test_the_secret_key_of_the_example_is_refused() -> None:
    assert problems_of(SECRET_KEY="ChangeMeChangeMe") == [
        "SECRET_KEY is the one of the example; expected 16 random characters"
    ]


def test_an_empty_value_is_the_default() -> None:
    settings = settings_of(**{variable.name: " " for variable in VARIABLES if variable.name not in MINIMAL})
    assert settings == settings_of()


@pytest.mark.parametrize("name", ["DEFER_ON_TLS_ERROR", "FULL_TEXT_SEARCH_ATTACHMENTS", "ADMIN", "SCAN_MACROS"])
@pytest.mark.parametrize("word", ["False", "false", "no"])
def test_a_false_is_false_for_every_service(name: str, word: str) -> None:
    assert getattr(settings_of(**{name: word}), name.lower()) is False


def test_keys_of_recaptcha_reach_the_application() -> None:
    settings = settings_of(RECAPTCHA_PUBLIC_KEY="site", RECAPTCHA_PRIVATE_KEY="secret")
    assert (settings.recaptcha_public_key, settings.recaptcha_private_key) == ("site", "secret")


def test_a_bad_value_names_the_variable_the_value_and_the_form(env_file: Path) -> None:
    append(env_file, "MESSAGE_RATELIMIT=lots")
    with pytest.raises(SettingsError) as caught:
        load_settings(env_file, {})
    assert caught.value.problems == [
        "mailu.env line 4: MESSAGE_RATELIMIT=lots: not a rate; "
        "expected a rate such as 5/hour or 200/day, or none for no limit"
    ]


def test_a_bad_secret_is_not_repeated() -> None:
    assert problems_of(API_TOKEN="x y") == [
        "environment: API_TOKEN: the value is not usable; expected at least 4 characters without blanks, or none"
    ]


def test_all_problems_are_reported_together() -> None:
    assert len(problems_of(PORTS="26", TZ="Mars/Olympus", WEB_API="api")) == 3


def test_a_misspelt_name_in_the_file_is_reported_with_the_nearest(env_file: Path) -> None:
    append(env_file, "MESAGE_SIZE_LIMIT=1", "COLOUR=red")
    assert load_settings(env_file, {}).warnings == (
        "mailu.env line 4: MESAGE_SIZE_LIMIT is not a setting; did you mean MESSAGE_SIZE_LIMIT?",
        "mailu.env line 5: COLOUR is not a setting",
    )


def test_a_name_in_lower_case_is_reported(env_file: Path) -> None:
    append(env_file, "ports=25")
    assert load_settings(env_file, {}).warnings == ("mailu.env line 4: ports is not a setting; did you mean PORTS?",)


def test_without_a_file_near_misses_of_the_environment_are_reported() -> None:
    settings = settings_of(HOSTNAME="box", PATH="/bin", MESAGE_SIZE_LIMIT="1", REDIS_PORT_6379_TCP="tcp://x")
    assert settings.warnings == ("environment: MESAGE_SIZE_LIMIT is not a setting; did you mean MESSAGE_SIZE_LIMIT?",)


def test_with_a_file_the_environment_is_not_searched_for_misspelt_names(env_file: Path) -> None:
    assert load_settings(env_file, {"MESAGE_SIZE_LIMIT": "1"}).warnings == ()


def test_the_environment_beats_the_file_and_says_so(env_file: Path) -> None:
    append(env_file, "TZ=Europe/Berlin", "LOG_LEVEL=INFO")
    loaded = load(env_file, {"TZ": "Etc/UTC", "LOG_LEVEL": "INFO"})
    assert loaded.settings.tz == "Etc/UTC"
    assert loaded.settings.warnings == ("mailu.env line 4: TZ is something else in the environment, which holds",)
    assert loaded.sources["TZ"] == "environment"
    assert loaded.sources["DOMAIN"] == "mailu.env line 2"


def test_an_empty_variable_of_the_environment_does_not_hide_the_file(env_file: Path) -> None:
    assert load_settings(append(env_file, "POSTMASTER=me"), {"POSTMASTER": ""}).postmaster == "me"


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("  from-a-file\n")
    loaded = load(None, MINIMAL | {"API_TOKEN": "direct", "API_TOKEN_FILE": str(secret)})
    assert loaded.settings.api_token == "from-a-file"
    assert loaded.sources["API_TOKEN"] == str(secret)
    assert not loaded.settings.secret_key_from_file


def test_it_is_remembered_that_the_secret_key_came_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("fedcba9876543210\n")
    settings = load_settings(None, MINIMAL | {"SECRET_KEY_FILE": str(secret)})
    assert settings.secret_key == "fedcba9876543210"
    assert settings.secret_key_from_file


def test_a_secret_file_that_is_not_there_is_a_problem_with_its_path(tmp_path: Path) -> None:
    assert problems_of(RELAYPASSWORD_FILE=str(tmp_path / "none"), RELAYUSER="u", RELAYPASSWORD="p") == [
        f"environment: RELAYPASSWORD_FILE={tmp_path}/none: cannot be read: No such file or directory"
    ]


def test_a_settings_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path / "mailu.env", MINIMAL)
    assert caught.value.problems == [f"{tmp_path}/mailu.env: cannot be read: No such file or directory"]


def test_a_line_that_is_none_stops_the_load(env_file: Path) -> None:
    append(env_file, "words")
    with pytest.raises(SettingsError, match=r"mailu\.env line 4: expected NAME=value"):
        load_settings(env_file, {})


def test_ipv6_follows_ipv4_when_nothing_is_said() -> None:
    assert settings_of().bind_addresses == ("0.0.0.0", "::")
    assert settings_of(BIND_ADDRESS4="127.0.0.1").bind_addresses == ("127.0.0.1",)
    assert settings_of(BIND_ADDRESS4="none").bind_addresses == ("::",)
    assert settings_of(BIND_ADDRESS4="127.0.0.1", BIND_ADDRESS6="::1").bind_addresses == ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"PROXY_PROTOCOL": "mail"}, "REAL_IP_FROM"),
        ({"PROXY_PROTOCOL": "all", "REAL_IP_FROM": "192.0.2.1", "REAL_IP_HEADER": "X-Real-IP"}, "exclude each other"),
        ({"WEB_ADMIN": "/x", "WEB_API": "/x"}, "three different paths"),
        ({"WEB_ADMIN": "/"}, "only WEB_WEBMAIL can be /"),
        ({"RELAYUSER": "u"}, "given together"),
        ({"REJECT_SCORE": "3"}, "must not decrease"),
        ({"RELAYNETS": "0.0.0.0/0"}, "open relay"),
        ({"ANTISPAM": "maybe"}, "neither yes nor no"),
    ],
)
def test_what_does_not_fit_together_is_refused(given: dict[str, str], says: str) -> None:
    assert [says in problem for problem in problems_of(**given)] == [True]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"SECRET_KEY": "short"}, "SECRET_KEY is short"),
        ({"INITIAL_ADMIN_ACCOUNT": "me", "INITIAL_ADMIN_DOMAIN": "example.com"}, "INITIAL_ADMIN_PW must be set too"),
        ({"REAL_IP_HEADER": "X-Real-IP"}, "no effect without REAL_IP_FROM"),
        ({"API": "true"}, "without API_TOKEN"),
        ({"ANTISPAM": "none"}, "the filter is always on"),
        ({"FULL_TEXT_SEARCH_ATTACHMENTS": "true"}, "FTS_ATTACHMENTS_ADDRESS"),
        ({"RELAYUSER": "u", "RELAYPASSWORD": "p"}, "without RELAYHOST"),
    ],
)
def test_what_has_no_effect_is_said_and_does_not_stop(given: dict[str, str], says: str) -> None:
    assert [says in warning for warning in settings_of(**given).warnings] == [True]


def test_a_limit_can_be_switched_off() -> None:
    assert settings_of().auth_ratelimit_ip == Rate(5, 3600)
    assert settings_of(AUTH_RATELIMIT_IP="none").auth_ratelimit_ip is None


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_a_default_is_what_the_same_text_means(variable: object) -> None:
    name = getattr(variable, "name", "")
    default = BY_NAME[name].default
    if default:
        assert getattr(settings_of(), name.lower()) == BY_NAME[name].kind.parse(default)
