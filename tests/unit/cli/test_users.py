"""Commands about mailboxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Run

from mailu.auth.passwords import verify
from mailu.directory.models import Audit, Domain, User

UserOf = Callable[[str], User | None]
DomainOf = Callable[[str], Domain | None]

BCRYPT = "{BLF-CRYPT}$2b$04$abcdefghijklmnopqrstuu5LwjUl8B5dfWTPl/TGnLDfVWVw1YpwG"


def existing(user_of: UserOf, email: str) -> User:
    found = user_of(email)
    assert found is not None
    return found


def test_an_administrator_is_created_with_its_domain(run: Run, user_of: UserOf, domain_of: DomainOf) -> None:
    result = run("admin", "Admin", "Example.COM", "correct horse")
    assert (result.exit_code, result.stdout) == (0, "The administrator admin@example.com was created.\n")
    admin = existing(user_of, "admin@example.com")
    assert admin.global_admin
    assert not admin.change_pw_next_login
    assert verify(b"correct horse", admin.password)
    assert domain_of("example.com") is not None


def test_creating_an_administrator_twice_fails_and_changes_nothing(run: Run, user_of: UserOf) -> None:
    run("admin", "admin", "example.com", "correct horse")
    before = existing(user_of, "admin@example.com").password
    result = run("admin", "admin", "example.com", "another horse")
    assert result.exit_code == 1
    assert result.stderr == "Error: admin@example.com exists already: as user.\n"
    assert existing(user_of, "admin@example.com").password == before


def test_ifmissing_leaves_an_existing_administrator_alone_and_ends_with_0(run: Run, user_of: UserOf) -> None:
    run("admin", "admin", "example.com", "correct horse")
    result = run("admin", "admin", "example.com", "another horse", "--mode", "ifmissing")
    assert (result.exit_code, result.stdout) == (0, "admin@example.com exists already; nothing was changed.\n")
    assert verify(b"correct horse", existing(user_of, "admin@example.com").password)


@pytest.mark.parametrize("mode", ["ifmissing", "update"])
def test_other_modes_create_who_is_missing(run: Run, user_of: UserOf, mode: str) -> None:
    assert run("admin", "admin", "example.com", "correct horse", "-m", mode).exit_code == 0
    assert existing(user_of, "admin@example.com").global_admin


def test_update_sets_the_password_and_gives_nobody_more_rights(run: Run, user_of: UserOf) -> None:
    run("user", "ann", "example.com", "correct horse")
    result = run("admin", "ann", "example.com", "another horse", "-m", "update")
    assert (result.exit_code, result.stdout) == (
        0,
        "The password of ann@example.com was set; it is no administrator.\n",
    )
    ann = existing(user_of, "ann@example.com")
    assert verify(b"another horse", ann.password)
    assert not ann.global_admin


def test_an_unknown_mode_is_an_error(run: Run) -> None:
    result = run("admin", "admin", "example.com", "correct horse", "--mode", "replace")
    assert result.exit_code == 2
    assert "ifmissing" in result.stderr


def test_a_user_must_choose_a_new_password(run: Run, user_of: UserOf) -> None:
    assert run("user", "ann", "example.com", "correct horse").exit_code == 0
    ann = existing(user_of, "ann@example.com")
    assert ann.change_pw_next_login
    assert not ann.global_admin


def test_new_users_get_the_quota_and_tolerance_of_the_settings(run: Run, user_of: UserOf, root: Path) -> None:
    with (root / "mailu.env").open("a") as file:
        file.write("DEFAULT_QUOTA=2 GB\nDEFAULT_SPAM_THRESHOLD=50\n")
    run("user", "ann", "example.com", "correct horse")
    ann = existing(user_of, "ann@example.com")
    assert (ann.quota_bytes, ann.spam_threshold) == (2_000_000_000, 50)


@pytest.mark.parametrize(("ceiling", "quota"), [("500000000", 500_000_000), ("5000000000", 1_000_000_000)])
def test_the_quota_of_a_new_user_stays_below_the_domain_s_ceiling(
    run: Run, user_of: UserOf, ceiling: str, quota: int
) -> None:
    run("domain", "example.com", "-q", ceiling)
    assert run("user", "ann", "example.com", "correct horse").exit_code == 0
    assert existing(user_of, "ann@example.com").quota_bytes == quota


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("an n", "example.com", "correct horse"), "cannot stand before the @"),
        (("ann", "exam ple.com", "correct horse"), "is not a domain name"),
        (("ann", "example.com", "short"), "at least 8 characters"),
        (("ann", "example.com", ""), "the password is empty"),
    ],
)
def test_what_is_refused_is_named_and_nothing_is_changed(
    run: Run, domain_of: DomainOf, arguments: tuple[str, ...], says: str
) -> None:
    result = run("user", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert says in result.stderr
    assert domain_of("example.com") is None


def test_a_domain_s_limit_is_kept_unless_it_is_to_be_ignored(run: Run, user_of: UserOf) -> None:
    run("domain", "example.com", "--max-users", "0")
    refused = run("user", "ann", "example.com", "correct horse")
    assert refused.exit_code == 1
    assert "may not have more than 0 mailboxes" in refused.stderr
    assert run("user", "ann", "example.com", "correct horse", "--ignore-limits").exit_code == 0
    assert user_of("ann@example.com") is not None


@pytest.mark.parametrize("arguments", [("-",), ()])
def test_a_password_can_come_from_standard_input(run: Run, user_of: UserOf, arguments: tuple[str, ...]) -> None:
    result = run("user", "ann", "example.com", *arguments, stdin="correct horse\nnot this line\n")
    assert result.exit_code == 0
    assert verify(b"correct horse", existing(user_of, "ann@example.com").password)


def test_nobody_is_asked_for_a_password_in_vain(run: Run) -> None:
    run("user", "ann", "example.com", "correct horse")
    assert "exists already" in run("user", "ann", "example.com", stdin="").stderr
    assert "There is no user" in run("password", "bob", "example.com", stdin="").stderr


# user list, and a user who is called list


def test_a_user_can_be_called_list(run: Run, user_of: UserOf) -> None:
    assert run("user", "list", "example.com", "correct horse").exit_code == 0
    assert run("user", "list", "example.org", stdin="correct horse\n").exit_code == 0
    assert user_of("list@example.com") is not None
    assert user_of("list@example.org") is not None


def test_the_list_is_a_table_of_tabs_in_a_pipe(run: Run) -> None:
    run("user", "bob", "example.com", "correct horse")
    run("admin", "ann", "example.com", "correct horse")
    lines = [line.split("\t") for line in run("user", "list").stdout.splitlines()]
    assert [line[0] for line in lines] == ["ann@example.com", "bob@example.com"]
    assert [line[4] for line in lines] == ["administrator", "enabled"]


def test_the_list_in_json_holds_no_hash(run: Run) -> None:
    run("user", "ann", "example.com", "correct horse")
    (ann,) = json.loads(run("user", "list", "--json").stdout)
    assert ann["email"] == "ann@example.com"
    assert ann["enabled"] is True
    assert "password" not in ann
    assert "argon2" not in str(ann)


def test_the_list_can_be_narrowed(run: Run) -> None:
    for localpart, domain in (("ann", "example.com"), ("bob", "example.com"), ("ann", "example.org")):
        run("user", localpart, domain, "correct horse")

    def emails(*options: str) -> list[str]:
        return [row["email"] for row in json.loads(run("user", "list", "--json", *options).stdout)]

    assert emails("--domain", "Example.ORG") == ["ann@example.org"]
    assert emails("--search", "ANN") == ["ann@example.com", "ann@example.org"]
    assert emails("--search", "%") == []
    assert run("user", "list", "--domain", "nowhere.example").exit_code == 1


def test_an_empty_list_says_so_on_standard_error(run: Run) -> None:
    result = run("user", "list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "There is no mailbox yet.\n")


def test_what_a_stranger_wrote_cannot_steer_the_terminal(run: Run, store: Any) -> None:
    run("user", "ann", "example.com", "correct horse")
    with store.session() as session:
        session.get(User, "ann@example.com").displayed_name = "\x1b[2Jann\n"
    assert "\x1b" not in run("user", "list").stdout


# password, user-import, user-delete


def test_a_password_is_set_and_must_be_changed(run: Run, user_of: UserOf) -> None:
    run("admin", "ann", "example.com", "correct horse")
    assert run("password", "ann", "example.com", "another horse").exit_code == 0
    ann = existing(user_of, "ann@example.com")
    assert ann.change_pw_next_login
    assert verify(b"another horse", ann.password)


@pytest.mark.parametrize(
    "command", [("password", "bob", "example.com", "correct horse"), ("user-delete", "bob@example.com")]
)
def test_an_unknown_user_is_an_error(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command)
    assert (result.exit_code, result.stderr) == (1, "Error: There is no user bob@example.com.\n")


@pytest.mark.parametrize("scheme", [(), ("BLF-CRYPT",)])
def test_a_hash_is_taken_over_without_its_prefix(run: Run, user_of: UserOf, scheme: tuple[str, ...]) -> None:
    assert run("user-import", "ann", "example.com", BCRYPT, *scheme).exit_code == 0
    ann = existing(user_of, "ann@example.com")
    assert ann.password == BCRYPT.removeprefix("{BLF-CRYPT}")
    assert not ann.change_pw_next_login


def test_a_hash_can_come_from_standard_input(run: Run, user_of: UserOf) -> None:
    assert run("user-import", "ann", "example.com", "-", stdin=f"{BCRYPT}\n").exit_code == 0
    assert user_of("ann@example.com") is not None


def test_what_is_no_hash_is_refused_and_not_repeated(run: Run, user_of: UserOf) -> None:
    result = run("user-import", "ann", "example.com", "plaintext-secret")
    assert result.exit_code == 1
    assert "kind that cannot be verified" in result.stderr
    assert "plaintext-secret" not in result.output
    assert user_of("ann@example.com") is None


def test_deleting_closes_the_mailbox_and_really_deletes_it(run: Run, user_of: UserOf) -> None:
    run("user", "ann", "example.com", "correct horse")
    assert run("user-delete", "Ann@Example.com").exit_code == 0
    assert not existing(user_of, "ann@example.com").enabled
    result = run("user-delete", "ann@example.com", "--really")
    assert result.exit_code == 0
    assert "is kept until" in result.stdout
    assert user_of("ann@example.com") is None
    assert run("user-delete", "ann@example.com", "-r").exit_code == 1


def test_every_change_is_written_down_with_who_made_it(
    run: Run, audit: Callable[[], list[Audit]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "carol")
    run("user", "ann", "example.com", "correct horse")
    assert [(row.action, row.actor, row.origin) for row in audit()] == [
        ("domain.create", "carol", "command line"),
        ("user.create", "carol", "command line"),
    ]
    assert "correct horse" not in str([row.detail for row in audit()])
