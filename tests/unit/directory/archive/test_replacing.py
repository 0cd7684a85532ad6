"""A replacing import: what the document names stays itself, what it does not name goes."""

from __future__ import annotations

from sqlalchemy import select
from tests.unit.directory.archive.conftest import HASH, OTHER_HASH, Import, exported, refused

from mailu.configuration import Configuration
from mailu.directory import changes
from mailu.directory.archive import document_of, read_document
from mailu.directory.changes import SYSTEM
from mailu.directory.models import Alias, Audit, Domain, Retired, Token, User


def test_a_mailbox_that_is_named_again_keeps_its_mail_and_its_past(filled: Configuration, replace: Import) -> None:
    with filled.store.session() as session:
        changes.delete_user(session, "bob@a.test", actor=SYSTEM)
        changes.create_user(session, "bob@a.test", password_hash=HASH, actor=SYSTEM)
        session.get_one(User, "bob@a.test").quota_bytes_used = 5
    replace("domain: [{name: a.test}]\nuser: [{email: Bob@A.test, quota_bytes: 7}]")
    with filled.store.read() as session:
        bob = session.get_one(User, "bob@a.test")
        assert (bob.home, bob.password, bob.quota_bytes, bob.quota_bytes_used) == ("bob@a.test~2", HASH, 7, 5)


def test_what_is_not_named_goes_and_its_mail_stays_for_a_while(filled: Configuration, replace: Import) -> None:
    replace("domain: [{name: a.test}]\nuser: [{email: bob@a.test}]")
    with filled.store.read() as session:
        assert list(session.scalars(select(User.email))) == ["bob@a.test"]
        assert list(session.scalars(select(Alias.email))) == []
        assert list(session.scalars(select(Domain.name))) == ["a.test"]
        assert set(session.scalars(select(Retired.home))) == {"ann@a.test", "carl@b.test"}


def test_attributes_that_are_not_named_go_back_to_their_defaults(filled: Configuration, replace: Import) -> None:
    document = "domain: [{name: a.test}]\nuser: [{email: bob@a.test%s}]"
    replace(document % ", displayed_name: Bob, spam_threshold: 3")
    replace(document % ", spam_threshold: 3")
    with filled.store.read() as session:
        bob = session.get_one(User, "bob@a.test")
        assert (bob.displayed_name, bob.spam_threshold) == ("", 3)


def test_hidden_secrets_leave_the_secrets_as_they_are(filled: Configuration, replace: Import) -> None:
    before = exported(filled)
    assert "<hidden>" in exported(filled, full=True)
    replace(exported(filled, full=True))
    assert exported(filled) == before


def test_hidden_secrets_make_no_new_mailbox(empty: Configuration, filled: Configuration) -> None:
    from tests.unit.directory.archive.conftest import ME

    document = read_document(exported(filled, full=True))
    said = refused(lambda given: empty.apply(given, actor=ME), document)
    assert any("user[0].password" in line and "--secrets" in line for line in said)
    assert any("tokens[0].password" in line for line in said)
    assert any("fetches[0].password" in line for line in said)
    assert any("domain[1].relaypassword" in line and "--secrets" in line for line in said)


def test_the_password_at_a_smart_host_is_shown_where_secrets_are_and_nowhere_else(
    filled: Configuration, update: Import
) -> None:
    assert "s h" not in exported(filled, full=True)
    assert "relaypassword: s h" in exported(filled, secrets=True)
    plan = filled.plan(document_of({"domain": [{"name": "b.test", "relaypassword": "n w"}]}), update=True)
    assert "n w" not in str([list(change.fields()) for change in plan.changes])
    update("domain: [{name: b.test, relaypassword: n w}]")
    with filled.store.read() as session:
        assert session.get_one(Domain, "b.test").relaypassword == "n w"
        trail = str(session.connection().exec_driver_sql("SELECT detail FROM audit").all())
    assert "n w" not in trail
    assert "relaypassword" in trail
    said = refused(update, "domain: [{name: b.test, relayuser: null}]")
    assert any("domain[0].relayuser" in line for line in said)


def test_an_alias_that_changes_hands_survives_its_first_owner(filled: Configuration, replace: Import) -> None:
    replace(
        "domain: [{name: a.test}, {name: b.test}]\nuser: [{email: bob@a.test}]\n"
        "alias: [{email: shop@b.test, destination: bob@a.test, owner_email: bob@a.test}]"
    )
    with filled.store.read() as session:
        assert session.get_one(Alias, "shop@b.test").owner_email == "bob@a.test"


def test_names_that_swap_their_meaning_do_not_collide(filled: Configuration, replace: Import) -> None:
    replace(
        {
            "domain": [{"name": "relayed.test", "alternatives": ["b.test"]}, {"name": "alt.test"}],
            "relay": [{"name": "a.test", "smtp": "mx.a.test"}],
            "user": [{"email": "team@alt.test", "password": OTHER_HASH}],
            "alias": [{"email": "ann@alt.test", "destination": ["team@alt.test"]}],
        }
    )
    with filled.store.read() as session:
        assert set(session.scalars(select(Domain.name))) == {"relayed.test", "alt.test"}


def test_a_user_and_an_alias_change_places(filled: Configuration, replace: Import) -> None:
    replace(
        {
            "domain": [{"name": "a.test"}],
            "user": [{"email": "team@a.test", "password": HASH}],
            "alias": [{"email": "ann@a.test", "destination": ["team@a.test"]}],
        }
    )
    with filled.store.read() as session:
        assert session.get_one(User, "team@a.test").home == "team@a.test"
        assert session.get_one(Alias, "ann@a.test").destination == ("team@a.test",)


def test_a_home_of_the_document_is_taken_for_new_mailboxes_only(filled: Configuration, replace: Import) -> None:
    plan = replace(
        {
            "domain": [{"name": "a.test"}],
            "user": [
                {"email": "bob@a.test", "home": "elsewhere"},
                {"email": "new@a.test", "home": "kept/place", "password": HASH},
                {"email": "clash@a.test", "home": "bob@a.test", "password": HASH},
            ],
        }
    )
    with filled.store.read() as session:
        homes = {user.email: user.home for user in session.scalars(select(User))}
    assert homes == {"bob@a.test": "bob@a.test", "new@a.test": "kept/place", "clash@a.test": "clash@a.test"}
    assert plan.notices == ("bob@a.test: its mail stays in bob@a.test, the document says elsewhere",)


def test_ids_are_kept_where_they_are_free(filled: Configuration, replace: Import) -> None:
    tokens = [{"id": 1, "password": HASH, "comment": "bob's"}, {"id": 9, "password": HASH, "comment": "free"}]
    replace(
        {
            "domain": [{"name": "a.test"}, {"name": "b.test"}],
            "user": [
                {"email": "ann@a.test", "tokens": [{"id": 1, "password": "<hidden>", "comment": "phone"}]},
                {"email": "bob@a.test", "tokens": tokens},
            ],
        }
    )
    with filled.store.read() as session:
        rows = {(token.user_email, token.comment): token.id for token in session.scalars(select(Token))}
    assert rows["ann@a.test", "phone"] == 1
    assert rows["bob@a.test", "free"] == 9
    assert rows["bob@a.test", "bob's"] not in (1, 9)


def test_everything_leaves_a_row_in_the_audit_trail(filled: Configuration, replace: Import) -> None:
    replace(
        {
            "domain": [{"name": "a.test", "alternatives": ["new.test"], "max_users": 5}],
            "user": [
                {"email": "bob@a.test", "password": OTHER_HASH, "spam_threshold": 1, "manager_of": ["a.test"]},
                {"email": "new@a.test", "password": HASH, "tokens": [{"password": HASH}]},
            ],
        }
    )
    with filled.store.read() as session:
        rows = session.scalars(select(Audit).where(Audit.actor == "operator")).all()
        told = {(row.action, row.subject): row.detail for row in rows}
    assert told["user.update", "bob@a.test"] == {"spam_threshold": [80, 1]}
    assert told["domain.update", "a.test"] == {"max_users": [-1, 5]}
    for expected in (
        ("user.password", "bob@a.test"),
        ("user.create", "new@a.test"),
        ("user.delete", "ann@a.test"),
        ("alias.delete", "team@a.test"),
        ("alternative.create", "new.test"),
        ("alternative.delete", "alt.test"),
        ("relay.delete", "relayed.test"),
        ("domain.delete", "b.test"),
        ("manager.add", "a.test"),
        ("token.create", "new@a.test"),
        ("config.import", ""),
    ):
        assert expected in told
    assert HASH not in str(told)
    assert OTHER_HASH not in str(told)


def test_an_import_that_changes_nothing_writes_nothing(filled: Configuration, replace: Import) -> None:
    version = filled.store.data_version()
    with filled.store.read() as session:
        rows = len(session.scalars(select(Audit)).all())
    assert replace(exported(filled)).is_empty
    assert filled.store.data_version() == version
    with filled.store.read() as session:
        assert len(session.scalars(select(Audit)).all()) == rows
