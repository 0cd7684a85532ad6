"""A snapshot that is made of the last one is the one that loading everything would give."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from mailu.directory import changes, renewal
from mailu.directory.changes import Actor
from mailu.directory.models import Trail, User, Version
from mailu.directory.renewal import SnapshotLoader, renew_snapshot
from mailu.directory.snapshot import Snapshot, load_snapshot
from mailu.directory.store import Store, open_store
from mailu.directory.trail import KEPT_VERSIONS
from mailu.directory.wildcards import WildcardIndex

ADMIN = Actor("admin@example.org", "cli")
ANN, BOB = "ann@example.org", "bob@example.org"


@pytest.fixture(autouse=True)
def people(store: Store) -> None:
    with store.session() as session:
        changes.create_domain(session, "example.org", actor=ADMIN, anonmail_enabled=True)
        changes.create_domain(session, "example.net", actor=ADMIN)
        changes.create_alternative(session, "alt.example", "example.org", actor=ADMIN)
        for email in (ANN, BOB, "eve@example.net"):
            changes.create_user(session, email, password_hash="$x$", actor=ADMIN)
        changes.create_alias(session, "team@example.org", destination=f"{ANN},{BOB}", actor=ADMIN)
        changes.create_alias(session, "own@example.org", destination=ANN, owner=ANN, actor=ADMIN)
        changes.create_alias(session, "s%@example.org", destination=ANN, wildcard=True, actor=ADMIN)


def index_of(found: WildcardIndex[object]) -> object:
    return [getattr(found, name) for name in found.__slots__]


def same(one: Snapshot, other: Snapshot) -> bool:
    """Whether two snapshots hold the same."""
    plain = [field.name for field in fields(Snapshot) if field.name != "wildcards"]
    indexes = [{domain: index_of(found) for domain, found in each.wildcards.items()} for each in (one, other)]  # type: ignore[arg-type]
    return all(getattr(one, name) == getattr(other, name) for name in plain) and indexes[0] == indexes[1]


SMALL: dict[str, Callable[[Session], object]] = {
    "a new mailbox": lambda session: changes.create_user(session, "new@example.org", password_hash="$", actor=ADMIN),
    "a new alias": lambda session: changes.create_alias(session, "a@example.org", destination=BOB, actor=ADMIN),
    "an alias with a detail and another name of the domain": lambda session: changes.create_alias(
        session, "b@example.org", destination="ann+x@alt.example", actor=ADMIN
    ),
    "another destination": lambda session: changes.update_alias(
        session, "team@example.org", destination="eve@example.net", actor=ADMIN
    ),
    "an alias that is gone": lambda session: changes.delete_alias(session, "team@example.org", actor=ADMIN),
    "an alias that is switched off": lambda session: changes.update_alias(
        session, "team@example.org", disabled=True, actor=ADMIN
    ),
    "a forward": lambda session: changes.update_user(
        session, ANN, forward_enabled=True, forward_destination=[BOB], actor=ADMIN
    ),
    "a right to send": lambda session: changes.update_user(session, ANN, allow_spoofing=True, actor=ADMIN),
    "a token": lambda session: changes.create_token(session, ANN, password_hash="$t$", actor=ADMIN),
    "a manager": lambda session: changes.add_manager(session, "example.org", BOB, actor=ADMIN),
    "an exception from encryption": lambda session: changes.allow_tls_exception(
        session, "there.example", comment="broken", actor=ADMIN
    ),
    "a smart host": lambda session: changes.update_domain(
        session, "example.org", relayhost="smtp.example.net", actor=ADMIN
    ),
    "a relayed domain": lambda session: changes.create_relay(session, "relayed.example", actor=ADMIN, smtp=":26"),
}
LARGE: dict[str, Callable[[Session], object]] = {
    "a mailbox that is switched off": lambda session: changes.update_user(session, ANN, enabled=False, actor=ADMIN),
    "a mailbox that is gone": lambda session: changes.delete_user(session, ANN, actor=ADMIN),
    "a domain that is gone": lambda session: changes.delete_domain(session, "example.net", actor=ADMIN),
    "a pattern": lambda session: changes.create_alias(
        session, "%@example.net", destination=ANN, wildcard=True, actor=ADMIN
    ),
    "a pattern that is gone": lambda session: changes.delete_alias(session, "s%@example.org", actor=ADMIN),
    "another name of a domain": lambda session: changes.create_alternative(
        session, "more.example", "example.net", actor=ADMIN
    ),
    "a statement about all": lambda session: session.execute(update(User).values(displayed_name="x")),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_small_change_is_put_into_the_last_snapshot(store: Store, name: str) -> None:
    before = load_snapshot(store)
    with store.session() as session:
        SMALL[name](session)
    renewed = renew_snapshot(store, before)
    assert renewed is not None
    assert same(renewed, load_snapshot(store))
    assert not same(renewed, before)


@pytest.mark.parametrize("name", LARGE)
def test_after_a_change_with_consequences_everything_is_loaded(store: Store, name: str) -> None:
    loader = SnapshotLoader(store)
    before = loader()
    with store.session() as session:
        LARGE[name](session)
    assert renew_snapshot(store, before) is None
    assert same(loader(), load_snapshot(store))


def test_any_order_of_changes_gives_what_loading_gives(store: Store) -> None:
    chance = random.Random(3)
    loader = SnapshotLoader(store)
    loader()
    for number in range(60):
        with store.session() as session:
            _something(session, chance, number)
        if chance.random() < 0.7:
            assert same(loader(), load_snapshot(store))


def _something(session: Session, chance: random.Random, number: int) -> None:
    """Change one thing or two, as far as the rules allow it."""
    people = [ANN, BOB, "eve@example.net", *(f"u{each}@example.org" for each in range(number))]
    for _ in range(chance.choice((1, 2))):
        someone, other = chance.choice(people), chance.choice(people)
        try:
            with session.begin_nested():
                match chance.randrange(7):
                    case 0:
                        changes.create_user(session, f"u{number}@example.org", password_hash="$", actor=ADMIN)
                    case 1:
                        changes.create_alias(session, f"a{number}@example.org", destination=someone, actor=ADMIN)
                    case 2:
                        changes.update_user(
                            session, someone, forward_enabled=True, forward_destination=[other], actor=ADMIN
                        )
                    case 3:
                        changes.update_user(session, someone, forward_enabled=False, actor=ADMIN)
                    case 4:
                        changes.update_user(session, someone, enabled=chance.random() < 0.5, actor=ADMIN)
                    case 5:
                        changes.delete_alias(session, f"a{chance.randrange(number + 1)}@example.org", actor=ADMIN)
                    case _:
                        changes.update_alias(session, "team@example.org", destination=someone, actor=ADMIN)
        except changes.ChangeError:
            continue


def test_a_gap_in_the_trail_is_no_reason_to_guess(store: Store) -> None:
    before = load_snapshot(store)
    for name in ("a", "b"):
        with store.session() as session:
            changes.create_alias(session, f"{name}@example.org", destination=ANN, actor=ADMIN)
    with store.session() as session:
        session.connection().execute(delete(Trail).where(Trail.version == before.version + 1))
    assert renew_snapshot(store, before) is None


def test_an_older_database_is_loaded_whole(store: Store) -> None:
    before = load_snapshot(store)
    with store.engine.begin() as connection:
        connection.execute(update(Version).values(changes=before.version - 1))
    assert renew_snapshot(store, before) is None


def test_another_file_in_the_place_of_the_database_is_loaded_whole(store: Store, tmp_path: Path) -> None:
    if not store.is_sqlite:
        pytest.skip("only SQLite is a file")
    loader = SnapshotLoader(store)
    loader()
    other = open_store(f"sqlite:///{tmp_path}/other.db")
    other.upgrade()
    with other.session() as session:
        changes.create_domain(session, "other.example", actor=ADMIN)
    for number in range(3):
        with other.session() as session:
            changes.create_user(session, f"u{number}@other.example", password_hash="$", actor=ADMIN)
    other.close()
    store.close()
    (tmp_path / "other.db").replace(tmp_path / "main.db")
    assert set(loader().domains) == {"other.example"}


def test_everything_is_loaded_now_and_then(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = SnapshotLoader(store)
    loader()
    monkeypatch.setattr(renewal, "WHOLE_SECONDS", -1.0)
    monkeypatch.setattr(renewal, "renew_snapshot", lambda *_: pytest.fail("it was made of the last one"))
    loader()


def test_the_trail_forgets(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(update(Version).values(changes=Version.changes + 2 * KEPT_VERSIONS))
    with store.session() as session:
        changes.create_alias(session, "a@example.org", destination=ANN, actor=ADMIN)
    with store.read() as session:
        assert {entry.kind for entry in session.query(Trail)} == {"alias", "rest"}
