"""config-export, config-plan and config-import as people run them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.unit.cli.conftest import Run

from mailu.auth.passwords import hash_password
from mailu.directory.models import Audit, User
from mailu.directory.store import Store

HASH = hash_password("secret word")
DOCUMENT = f"""\
domain:
  - name: example.com
    max_users: 10
user:
  - email: ann@example.com
    password: {HASH}
    global_admin: true
    tokens:
      - comment: phone
        password: {HASH}
alias:
  - email: info@example.com
    destination: ann@example.com
"""


@pytest.fixture
def imported(run: Run) -> None:
    assert run("config-import", stdin=DOCUMENT).exit_code == 0


def test_an_import_counts_what_it_did(run: Run, user_of: Callable[[str], User | None]) -> None:
    result = run("config-import", stdin=DOCUMENT)
    assert result.stdout.splitlines() == [
        "Domain: 1 created",
        "User: 1 created",
        "Token: 1 created",
        "Alias: 1 created",
    ]
    ann = user_of("ann@example.com")
    assert ann is not None
    assert ann.global_admin
    assert run("config-import", stdin=DOCUMENT).stdout == "Nothing changed: everything was so already.\n"
    assert run("config-import", "-q", stdin=DOCUMENT.replace("10", "11")).output == ""


def test_a_file_is_read_and_written(run: Run, root: Path, imported: None) -> None:
    target = root / "export.yml"
    target.write_text("longer than what comes" * 1000)
    target.chmod(0o644)
    assert run("config-export", "-s", "-o", str(target)).exit_code == 0
    assert target.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(target.read_text())["user"][0]["password"] == HASH
    assert run("config-import", str(target)).stdout.startswith("Nothing changed")


def test_secrets_are_shown_on_request_only(run: Run, imported: None) -> None:
    assert HASH not in run("config-export").stdout
    assert HASH not in run("config-export", "-f", "-d", "-j").stdout
    assert run("config-export", "-s").stdout.count(HASH) == 2
    assert run("config-export", "user.password").stdout.count(HASH) == 1


def test_an_export_can_be_filtered(run: Run, imported: None) -> None:
    assert json.loads(run("config-export", "-j", "alias").stdout) == {
        "alias": [{"email": "info@example.com", "destination": ["ann@example.com"]}]
    }
    only_mx = run("config-export", "domain.dns_mx").stdout
    assert only_mx == "domain:\n  - name: example.com\n    dns_mx: example.com. 600 IN MX 10 mail.example.com.\n"
    for wrong in ("users", "user.", "user.quota", ".email"):
        result = run("config-export", wrong)
        assert (result.exit_code, result.stderr.startswith("Error: Invalid filter: ")) == (1, True)


def test_dns_is_shown_on_request(run: Run, imported: None) -> None:
    assert "dns_spf" not in run("config-export", "-f").stdout
    assert yaml.safe_load(run("config-export", "-d", "domain").stdout)["domain"][0]["dns_spf"].endswith('~all"')


def test_colours_are_for_those_who_ask(run: Run, imported: None) -> None:
    assert "\x1b[" not in run("config-export").stdout
    assert "\x1b[" in run("config-export", "-c").stdout
    assert "\x1b[" in run("config-export", "-c", "-j").stdout
    assert "\x1b[31m" in run("config-import", "-c", stdin="user: 1").stderr


def test_a_plan_is_a_table_and_changes_nothing(run: Run, imported: None, audit: Callable[[], list[Audit]]) -> None:
    before = len(audit())
    changed = DOCUMENT.replace("max_users: 10", "max_users: 11").replace("info@", "team@")
    result = run("config-plan", "--exit-code", stdin=changed)
    assert result.exit_code == 2
    assert [line.split("\t") for line in result.stdout.splitlines()] == [
        ["delete", "alias", "info@example.com", "", "", ""],
        ["update", "domain", "example.com", "max_users", "10", "11"],
        ["create", "alias", "team@example.com", "destination", "(default)", "ann@example.com"],
    ]
    assert run("config-plan", "--exit-code", stdin=DOCUMENT).exit_code == 0
    assert run("config-import", "--plan", stdin=changed).stdout.splitlines()[:3] == result.stdout.splitlines()
    dry = run("config-import", "-n", "-vv", stdin=changed).stdout
    assert "    max_users: 10 -> 11" in dry
    assert dry.endswith("Nothing was changed: this was a dry run.\n")
    shown = json.loads(run("config-plan", "-j", stdin=changed).stdout)["changes"]
    assert shown[1]["attributes"] == {"max_users": {"before": 10, "after": 11}}
    assert len(audit()) == before


def test_secrets_in_messages_are_shown_on_request_only(run: Run, imported: None) -> None:
    other = DOCUMENT.replace(HASH, hash_password("another"))
    assert "$argon2id$" not in run("config-import", "-nvv", stdin=other).stdout
    assert "$argon2id$" not in run("config-plan", stdin=other).stdout
    assert HASH in run("config-import", "-nvvs", stdin=other).stdout


def test_everything_that_is_wrong_is_said_and_nothing_changes(run: Run, imported: None) -> None:
    before = run("config-export", "-f", "-s").stdout
    result = run("config-import", "-u", stdin="user:\n  - email: ann@example.com\n    quota: 1\n  - email: x\n")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0].startswith("Error: user[0].quota (line 3): there is no such attribute")
    assert result.stderr.splitlines()[1].startswith("Error: user[1].email (line 4): 'x' is not an address")
    assert result.stderr.splitlines()[2] == "Nothing was changed."
    assert run("config-export", "-f", "-s").stdout == before


def test_files_that_are_not_there_or_no_text_are_named(run: Run, root: Path) -> None:
    assert "nowhere.yml is not there" in run("config-import", str(root / "nowhere.yml")).stderr
    assert "cannot be read" in run("config-import", str(root)).stderr
    assert "cannot be written" in run("config-export", "-o", str(root)).stderr
    assert "this is not YAML" in run("config-import", stdin="a: [").stderr
    assert "mailu config-update" in run("config-plan", stdin="users: []").stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up rights")
def test_an_import_as_root_leaves_the_database_to_its_owner(run: Run, imported: None, store: Store, root: Path) -> None:
    owners = {path.stat().st_uid for path in (root / "data").iterdir()}
    assert owners == {(root / "data").stat().st_uid}
