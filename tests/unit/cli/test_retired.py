"""Deleted mailboxes: kept, brought back, and erased when their time has come, and nothing else with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.unit.cli.conftest import Run

from mailu.directory.models import Retired, User
from mailu.directory.store import Store


@pytest.fixture
def deleted(run: Run, root: Path) -> Path:
    """The folder of a mailbox that was deleted just now."""
    run("user", "ann", "example.com", "a good password")
    home = root / "mail" / "ann@example.com"
    (home / "cur").mkdir(parents=True)
    (home / "cur" / "1:2,S").write_text("mail")
    run("user-delete", "--really", "ann@example.com")
    return home


def make_due(store: Store, **columns: object) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    with store.session() as session:
        session.execute(update(Retired).values(purge_after=yesterday, **columns))


def test_a_deleted_mailbox_is_listed_and_its_mail_kept(run: Run, deleted: Path) -> None:
    (row,) = json.loads(run("retired", "list", "--json").stdout)
    assert (row["email"], row["home"]) == ("ann@example.com", "ann@example.com")
    assert run("retired", "erase").exit_code == 0
    assert (deleted / "cur" / "1:2,S").read_text() == "mail"


def test_it_comes_back_with_its_folder(run: Run, deleted: Path, user_of: Callable[[str], User | None]) -> None:
    assert run("retired", "restore", "ann@example.com").stdout == "ann@example.com is back.\n"
    user = user_of("ann@example.com")
    assert user is not None
    assert user.home == "ann@example.com"
    assert run("retired", "restore", "ann@example.com").exit_code != 0


def test_it_is_erased_when_its_time_has_come_and_neighbours_stay(run: Run, deleted: Path, store: Store) -> None:
    neighbour = deleted.parent / "bob@example.com" / "cur"
    neighbour.mkdir(parents=True)
    make_due(store)
    assert json.loads(run("retired", "erase", "--json").stdout) == ["ann@example.com"]
    assert not deleted.exists()
    assert neighbour.is_dir()
    assert json.loads(run("retired", "list", "--json").stdout) == []


def test_a_mailbox_without_mail_is_forgotten_too(run: Run, store: Store) -> None:
    run("user", "ann", "example.com", "a good password")
    run("user-delete", "--really", "ann@example.com")
    make_due(store)
    assert run("retired", "erase").stdout == "Erased: ann@example.com.\n"


@pytest.mark.parametrize("home", ["../data", "/etc", ".", "a/../../data"])
def test_nothing_outside_the_mail_is_ever_removed(run: Run, deleted: Path, store: Store, root: Path, home: str) -> None:
    make_due(store, home=home)
    result = run("retired", "erase")
    assert result.exit_code != 0
    assert "nothing was removed" in result.stderr
    assert (root / "data" / "main.db").exists()
    assert deleted.exists()


def test_a_link_in_a_mailbox_leads_nowhere(run: Run, deleted: Path, store: Store, root: Path) -> None:
    treasure = root / "treasure"
    treasure.mkdir()
    (deleted / "link").symlink_to(treasure)
    make_due(store)
    run("retired", "erase")
    assert not deleted.exists()
    assert treasure.is_dir()
