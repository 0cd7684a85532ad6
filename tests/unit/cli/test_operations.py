"""Commands about the running server: settings, explain, queue, limits, check, database, first start."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Run

from mailu.auth.passwords import verify
from mailu.cli import prepare
from mailu.directory.changes import Actor, create_relay
from mailu.directory.models import User
from mailu.directory.store import Store, open_store
from mailu.settings import Settings, load_settings

UserOf = Callable[[str], User | None]

# settings


def test_settings_show_what_was_given_and_where(run: Run) -> None:
    lines = [line.split("\t")[:3] for line in run("settings").stdout.splitlines()]
    assert lines[:3] == [
        ["SECRET_KEY", "<hidden>", "mailu.env line 1"],
        ["DOMAIN", "example.com", "mailu.env line 2"],
        ["HOSTNAMES", "mail.example.com", "mailu.env line 3"],
    ]
    assert ["MESSAGE_SIZE_LIMIT"] not in [line[:1] for line in lines]


def test_one_setting_is_printed_alone(run: Run) -> None:
    assert run("settings", "message_size_limit").stdout == "50000000\n"
    assert run("settings", "SECRET_KEY").stdout == "<hidden>\n"
    assert run("settings", "SECRET_KEY", "--secrets").stdout == "0123456789abcdef\n"


def test_a_misspelt_setting_is_an_error_with_the_nearest(run: Run) -> None:
    result = run("settings", "MESAGE_SIZE_LIMIT")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: MESAGE_SIZE_LIMIT is not a setting; did you mean MESSAGE_SIZE_LIMIT?\n",
    )


def test_all_settings_in_json(run: Run) -> None:
    shown = json.loads(run("settings", "--all", "--json").stdout)["settings"]
    found = {row["name"]: row for row in shown}
    assert found["PORTS"]["source"] == "default"
    assert found["PORTS"]["in_force"] is None


def test_what_the_running_services_do_not_have_yet_is_marked(run: Run, root: Path) -> None:
    etc = root / "run" / "directory" / "etc"
    etc.mkdir(parents=True)
    environ = {
        "SECRET_KEY": "0123456789abcdef",
        "DOMAIN": "example.com",
        "HOSTNAMES": "old.example.com",
        "ROOT": str(root),
    }
    (etc / "settings.json").write_text(load_settings(None, environ).to_json())
    lines = [line.split("\t") for line in run("settings").stdout.splitlines()]
    assert [line[0] for line in lines if line[3]] == ["HOSTNAMES"]


def test_warnings_about_settings_go_to_standard_error(run: Run, root: Path) -> None:
    with (root / "mailu.env").open("a") as file:
        file.write("COLOUR=red\n")
    assert run("settings").stderr == "Warning: mailu.env line 4: COLOUR is not a setting\n"


# explain


@pytest.fixture
def people(run: Run, store: Store) -> None:
    """Two users, an alias to both, a disabled user, a relayed domain."""
    for localpart in ("ann", "bob", "carl"):
        run("user", localpart, "example.com", "correct horse")
    run("alias", "team", "example.com", "ann@example.com,bob@example.com")
    run("user-delete", "carl@example.com")
    with store.session() as session:
        create_relay(session, "relay.example", smtp="mx.relay.example:2525", actor=Actor("test", "test"))


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("address", "kind", "deliver", "last"),
    [
        ("ann+x@example.com", "mailbox", ["ann+x@example.com"], "It goes to ann+x@example.com."),
        (
            "Team@Example.com",
            "alias",
            ["ann@example.com", "bob@example.com"],
            "It goes to ann@example.com, bob@example.com.",
        ),
        ("carl@example.com", "disabled", [], "It is refused: disabled."),
        ("dora@example.com", "unknown", [], "It is refused: there is no such user."),
        ("x@elsewhere.example", "remote", [], "From outside it is refused; users who are logged in can send to it."),
    ],
)
def test_an_address_is_explained(run: Run, address: str, kind: str, deliver: list[str], last: str) -> None:
    answer = json.loads(run("explain", address, "--json").stdout)
    assert (answer["kind"], answer["deliver"]) == (kind, deliver)
    text = run("explain", address).stdout
    assert last in text.splitlines()
    assert text.startswith(answer["steps"][0])


@pytest.mark.usefixtures("people")
def test_a_relayed_domain_is_explained_with_its_next_hop(run: Run) -> None:
    answer = json.loads(run("explain", "anybody@relay.example", "--json").stdout)
    assert answer["kind"] == "relay"
    assert "mx.relay.example" in answer["deliver"][0]


@pytest.mark.usefixtures("people")
def test_who_may_send_as_an_address_is_told(run: Run) -> None:
    assert "May send as it: ann@example.com, bob@example.com." in run("explain", "team@example.com").stdout


def test_what_is_no_address_is_refused(run: Run) -> None:
    result = run("explain", "ann")
    assert (result.exit_code, result.stderr) == (1, "Error: 'ann' is not an address: the @ is missing\n")


# queue

QUEUED = [
    {
        "queue_name": "deferred", "queue_id": "4B2XYZ", "arrival_time": 1700000100, "message_size": 2000,
        "forced_expire": False, "sender": "ann@example.com",
        "recipients": [{"address": "x@slow.example", "delay_reason": "connect to slow.example: Connection refused"}],
    },
    {
        "queue_name": "hold", "queue_id": "4A1XYZ", "arrival_time": 1700000000, "message_size": 900,
        "forced_expire": False, "sender": "", "recipients": [{"address": "y@example.net"}],
    },
]  # fmt: skip


class Postfix:
    """Programs that answer like Postfix's and write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("postqueue", "postsuper"):
            program = folder / name
            program.write_text(
                f'#!/bin/sh\necho "{name} $*" >> {folder}/called\n'
                f'case "$*" in *-j) cat {folder}/queue;; *" -") cat >> {folder}/called; cat {folder}/says >&2;; esac\n'
                f"test ! -e {folder}/fails || {{ echo 'fatal: no such luck' >&2; exit 69; }}\n"
            )
            program.chmod(0o755)
        self.holds(QUEUED)
        self.says("postsuper: Did: 1 message")

    def says(self, words: str) -> None:
        (self.folder / "says").write_text(f"{words}\n")

    def holds(self, messages: list[dict[str, Any]]) -> None:
        (self.folder / "queue").write_text("".join(json.dumps(message) + "\n" for message in messages))

    def fail(self) -> None:
        (self.folder / "fails").touch()

    @property
    def called(self) -> list[str]:
        lines = (self.folder / "called").read_text().splitlines()
        return [line for line in lines if not line.endswith("-j")]


@pytest.fixture
def postfix(root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Postfix:
    folder = tmp_path_factory.mktemp("bin")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    etc = root / "run" / "smtp" / "etc"
    etc.mkdir(parents=True)
    (etc / "main.cf").touch()
    return Postfix(folder)


def test_the_queue_is_listed_oldest_first_with_the_reason(run: Run, postfix: Postfix) -> None:
    lines = [line.split("\t") for line in run("queue", "list").stdout.splitlines()]
    assert lines[0] == ["4A1XYZ", "hold", "2023-11-14T22:13:20+00:00", "900 B", "<>", "y@example.net", ""]
    assert lines[1][6] == "connect to slow.example: Connection refused"
    assert [message["queue_id"] for message in json.loads(run("queue", "list", "--json").stdout)] == [
        "4A1XYZ",
        "4B2XYZ",
    ]


def test_an_empty_queue_says_so(run: Run, postfix: Postfix) -> None:
    postfix.holds([])
    result = run("queue", "list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "The queue is empty.\n")


def test_the_reason_is_told_for_each_recipient(run: Run, postfix: Postfix) -> None:
    assert "x@slow.example: connect to slow.example: Connection refused" in run("queue", "why", "4B2XYZ").stdout
    assert "y@example.net: it is held until it is released" in run("queue", "why", "4A1XYZ").stdout


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        (("retry",), ["postqueue -c {etc} -f"]),
        (("retry", "4B2XYZ"), ["postqueue -c {etc} -i 4B2XYZ"]),
        (("delete", "4A1XYZ", "4B2XYZ"), ["postsuper -c {etc} -d -", "4A1XYZ", "4B2XYZ"]),
        (("hold", "4B2XYZ"), ["postsuper -c {etc} -h -", "4B2XYZ"]),
        (("release", "4A1XYZ"), ["postsuper -c {etc} -H -", "4A1XYZ"]),
    ],
)
def test_postfix_is_told_what_to_do(
    run: Run, postfix: Postfix, root: Path, arguments: tuple[str, ...], called: list[str]
) -> None:
    postfix.says("postsuper: Did: 1 message" if len(arguments) == 2 else "postsuper: Did: 2 messages")
    assert run("queue", *arguments).exit_code == 0
    assert postfix.called == [line.format(etc=root / "run" / "smtp" / "etc") for line in called]


def test_what_postfix_did_not_do_is_not_called_done(run: Run, postfix: Postfix) -> None:
    result = run("queue", "hold", "4A1XYZ", "4B2XYZ")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: 1 message is held, of 2: the others are not in a state for that\n"


@pytest.mark.parametrize("arguments", [("delete", "4A1XYZ", "ZZ"), ("retry", "ZZ"), ("why", "ZZ"), ("hold", "ALL")])
def test_an_unknown_queue_id_is_an_error_and_nothing_is_changed(
    run: Run, postfix: Postfix, arguments: tuple[str, ...]
) -> None:
    result = run("queue", *arguments)
    assert result.exit_code == 1
    assert "is not in the queue" in result.stderr
    assert postfix.called == []


def test_postfix_s_own_words_reach_the_user(run: Run, postfix: Postfix) -> None:
    postfix.fail()
    result = run("queue", "list")
    assert (result.exit_code, result.stderr) == (1, "Error: postqueue: fatal: no such luck\n")


def test_without_the_service_the_queue_cannot_be_listed(run: Run) -> None:
    result = run("queue", "list")
    assert result.exit_code == 1
    assert "expected `mailu up`" in result.stderr


# limits


class Directory(BaseHTTPRequestHandler):
    """Answers like the running directory."""

    cleared: list[str]

    def do_GET(self) -> None:
        limit = {"kind": "network", "name": "192.0.2.0", "wrong": 5, "retry_after_seconds": 60}
        self.answer(200 if self.headers["X-Mailu-Secret"] == "s3cret" else 403, {"limits": [limit]})

    def do_DELETE(self) -> None:
        self.answer(200, {"cleared": 1 if self.path == "/limits/ann%40example.com" else 0})

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None: ...


@pytest.fixture
def directory(root: Path) -> Iterator[Path]:
    """A running directory; gives the file of its secret."""
    server = HTTPServer(("127.0.0.1", 0), Directory)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    secret = root / "run" / "directory" / "secret"
    secret.parent.mkdir(parents=True)
    secret.write_text("s3cret\n")
    (root / "run" / "ports.json").write_text(json.dumps({"directory": server.server_port}))
    yield secret
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("directory")
def test_limits_in_force_are_listed(run: Run) -> None:
    assert run("limits", "list").stdout == "network\t192.0.2.0\t5\t60\n"
    assert json.loads(run("limits", "list", "--json").stdout)[0]["wrong"] == 5


@pytest.mark.usefixtures("directory")
def test_limits_are_cleared_by_name(run: Run) -> None:
    assert run("limits", "clear", "ann@example.com").stdout == "ann@example.com can try again at once.\n"
    result = run("limits", "clear", "ann@example.com", "bob@example.com")
    assert result.exit_code == 1
    assert "nothing was counted for bob@example.com" in result.stderr


def test_a_wrong_secret_is_told(run: Run, directory: Path) -> None:
    directory.write_text("other")
    assert "the directory answers 403" in run("limits", "list").stderr


def test_limits_need_a_running_directory(run: Run) -> None:
    result = run("limits", "list")
    assert result.exit_code == 1
    assert "Mailu does not run at" in result.stderr


# check


def test_check_looks_at_everything_and_ends_with_0_when_nothing_is_broken(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailu.cli.check._ACCOUNTS", ("root",))
    run("admin", "postmaster", "example.com", "correct horse")
    result = run("check", "--json")
    assert result.exit_code == 0
    found = {finding["about"]: finding["state"] for finding in json.loads(result.stdout)}
    assert found == {
        "settings": "ok",
        "certificates": "warning",
        "services": "warning",
        "database": "ok",
        "people": "ok",
    }


def test_check_names_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailu.cli.check._ACCOUNTS", ("no-such-user",))
    result = run("check")
    assert result.exit_code == 1
    assert "Problem  accounts: the system user no-such-user is missing" in result.stdout
    assert "Warning  people: nobody gets mail for postmaster@example.com" in result.stdout
    assert "Warning  people: there is no administrator" in result.stdout


def test_one_failing_check_does_not_hide_the_others(run: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailu.cli.check._ACCOUNTS", ("root",))
    (root / "mailu.env").write_text("DOMAIN=example.com\n")
    result = run("check")
    assert result.exit_code == 1
    assert "Problem  settings: SECRET_KEY is not set" in result.stdout


# db


def test_the_schema_s_revision_is_told(run: Run) -> None:
    answer = json.loads(run("db", "current", "--json").stdout)
    assert answer["up_to_date"]
    assert run("db", "current").stdout == f"{answer['newest']} (newest)\n"
    assert run("db", "history").stdout.splitlines()[-1] == answer["newest"]


def test_the_schema_can_be_taken_back_and_brought_up(run: Run, store: Store) -> None:
    assert run("db", "downgrade", "base").exit_code == 0
    assert store.revision() is None
    assert run("db", "upgrade").exit_code == 0
    assert store.revision() is not None


@pytest.mark.parametrize("command", [("db", "upgrade", "0000"), ("db", "downgrade", "nonsense")])
def test_an_unknown_revision_is_an_error(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")


# The first start


def prepared(root: Path, monkeypatch: pytest.MonkeyPatch, **more: str) -> Settings:
    environ = {
        "SECRET_KEY": "0123456789abcdef",
        "DOMAIN": "example.com",
        "HOSTNAMES": "m.example.com",
        "ROOT": str(root),
    }
    settings = load_settings(None, environ | more)
    file = root / "settings.json"
    file.write_text(settings.to_json())
    monkeypatch.setenv("MAILU_SETTINGS", str(file))
    return settings


FIRST = {"INITIAL_ADMIN_ACCOUNT": "admin", "INITIAL_ADMIN_DOMAIN": "example.com", "INITIAL_ADMIN_PW": "short"}


def test_the_first_start_makes_tables_and_the_administrator(
    root: Path, monkeypatch: pytest.MonkeyPatch, user_of: UserOf
) -> None:
    prepared(root, monkeypatch, **FIRST, DEFAULT_QUOTA="2 GB", DEFAULT_SPAM_THRESHOLD="50")
    assert prepare.main() == 0
    admin = user_of("admin@example.com")
    assert admin is not None
    assert admin.global_admin
    assert (admin.quota_bytes, admin.spam_threshold) == (2_000_000_000, 50)
    assert verify(b"short", admin.password)


@pytest.mark.parametrize(("mode", "password"), [("ifmissing", b"short"), ("create", b"short"), ("update", b"newer")])
def test_a_later_start_leaves_the_administrator_alone_unless_told(
    root: Path, monkeypatch: pytest.MonkeyPatch, user_of: UserOf, mode: str, password: bytes
) -> None:
    prepared(root, monkeypatch, **FIRST)
    prepare.main()
    prepared(root, monkeypatch, **FIRST | {"INITIAL_ADMIN_PW": "newer", "INITIAL_ADMIN_MODE": mode})
    assert prepare.main() == 0
    admin = user_of("admin@example.com")
    assert admin is not None
    assert verify(password, admin.password)


def test_without_an_administrator_in_the_settings_there_is_none(
    root: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    prepared(root, monkeypatch)
    assert prepare.main() == 0
    assert json.loads(run("user", "list", "--json").stdout) == []


def test_a_database_that_cannot_be_used_is_told_in_the_last_line(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared(root, monkeypatch, SQLALCHEMY_DATABASE_URI="oracle://x/y")
    assert prepare.main() == 1
    assert "'oracle' is not a database that can be used" in capsys.readouterr().err.splitlines()[-1]


def test_an_earlier_mailu_s_database_is_not_touched(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sqlite3

    with sqlite3.connect(root / "data" / "earlier.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('9a5866105f5a')")
    connection.close()
    prepared(root, monkeypatch, SQLALCHEMY_DATABASE_URI=f"sqlite:///{root}/data/earlier.db")
    assert prepare.main() == 1
    assert capsys.readouterr().err
    with closing(open_store(f"sqlite:///{root}/data/earlier.db")) as earlier:
        assert earlier.revision() is None
