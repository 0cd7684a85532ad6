"""An update changes what the document names, with the notation for deleting, pruning and resetting."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from tests.unit.directory.archive.conftest import HASH, ME, Import, exported, refused

from mailu.auth import passwords
from mailu.configuration import Configuration
from mailu.directory.archive import read_document
from mailu.directory.models import Alias, Alternative, DomainAccess, Fetch, ListedSender, Manager, Relay, Token, User


def names(configuration: Configuration, column: Any) -> set[Any]:
    with configuration.store.read() as session:
        return set(session.scalars(select(column)))


def user(configuration: Configuration, email: str) -> User:
    with configuration.store.read() as session:
        found = session.get_one(User, email)
        session.expunge_all()
        return found


def test_what_is_not_named_stays(filled: Configuration, update: Import) -> None:
    before = exported(filled, secrets=True)
    update("user: [{email: bob@a.test, spam_threshold: 5}]")
    assert user(filled, "bob@a.test").spam_threshold == 5
    update("user: [{email: bob@a.test, spam_threshold: 80}]")
    assert exported(filled, secrets=True) == before


def test_one_thing_is_deleted_by_its_name(filled: Configuration, update: Import) -> None:
    update("user: [{-email: carl@b.test}]\nalias: [{-email: team@a.test}]\nrelay: [{-name: relayed.test}]")
    assert names(filled, User.email) == {"ann@a.test", "bob@a.test"}
    assert names(filled, Alias.email) == {"shop@b.test"}
    assert names(filled, Relay.name) == set()


def test_all_that_is_not_named_is_deleted_by_null(filled: Configuration, update: Import) -> None:
    update("alias: [{-email: null}, {email: team@a.test}]")
    assert names(filled, Alias.email) == {"team@a.test"}
    assert len(names(filled, User.email)) == 3


def test_what_belongs_to_a_deleted_domain_or_user_goes_with_it(filled: Configuration, update: Import) -> None:
    update("domain: [{-name: b.test}]")
    assert names(filled, User.email) == {"ann@a.test", "bob@a.test"}
    assert names(filled, Alias.email) == {"team@a.test"}
    assert names(filled, Manager.domain_name) == set()
    assert names(filled, DomainAccess.domain_name) == set()


def test_lists_are_added_to_taken_from_and_replaced(filled: Configuration, update: Import) -> None:
    def destination(text: str) -> tuple[str, ...]:
        update(f"alias: [{{email: team@a.test, destination: {text}}}]")
        with filled.store.read() as session:
            return session.get_one(Alias, "team@a.test").destination

    assert destination("[carl@b.test]") == ("ann@a.test", "bob@a.test", "carl@b.test")
    assert destination("[-ann@a.test]") == ("bob@a.test", "carl@b.test")
    assert destination("[-prune-, x@y.test]") == ("x@y.test",)
    assert destination('"a@b.test,c@d.test"') == ("a@b.test", "c@d.test", "x@y.test")


def test_other_names_rights_and_grants_are_lists_too(filled: Configuration, update: Import) -> None:
    update("domain: [{name: a.test, alternatives: [-alt.test, new.test]}]")
    update("user: [{email: ann@a.test, manager_of: [a.test, -b.test]}, {email: bob@a.test, domain_accesses: [a.test]}]")
    assert names(filled, Alternative.name) == {"new.test"}
    assert names(filled, Manager.domain_name) == {"a.test"}
    assert names(filled, DomainAccess.domain_name) == {"a.test", "b.test"}
    assert names(filled, DomainAccess.comment) == {"", "for shops"}
    update("user: [{email: bob@a.test, domain_accesses: [-prune-]}, {email: ann@a.test, -manager_of: null}]")
    assert names(filled, DomainAccess.domain_name) | names(filled, Manager.domain_name) == set()


def test_an_attribute_is_reset_by_a_hyphen(filled: Configuration, update: Import) -> None:
    update("user: [{email: bob@a.test, spam_threshold: 5, comment: x}]")
    update("user: [{email: bob@a.test, -spam_threshold: null}]")
    assert (user(filled, "bob@a.test").spam_threshold, user(filled, "bob@a.test").comment) == (80, "x")


def test_tokens_and_fetched_accounts_are_known_by_id_or_by_content(filled: Configuration, update: Import) -> None:
    same = "{protocol: imap, host: old.test, port: 993, username: ann, password: p w}"
    assert update(f"user: [{{email: ann@a.test, fetches: [{same}]}}]").is_empty
    assert update("user: [{email: ann@a.test, tokens: [{comment: phone, password: <hidden>}]}]").is_empty
    update("user: [{email: ann@a.test, fetches: [{id: 1, keep: true}], tokens: [{id: 1, comment: old}]}]")
    with filled.store.read() as session:
        assert session.get_one(Fetch, 1).keep
        assert session.get_one(Token, 1).comment == "old"
    update("user: [{email: ann@a.test, fetches: [-prune-], tokens: [{-id: 1}]}]")
    assert names(filled, Fetch.id) | names(filled, Token.id) == set()


def test_a_plain_password_is_hashed_once(filled: Configuration, update: Import) -> None:
    document = "user: [{email: bob@a.test, password: correct horse, hash_password: true}]"
    update(document)
    stored = user(filled, "bob@a.test").password
    assert passwords.verify(b"correct horse", stored)
    assert update(document).is_empty
    token = "user: [{email: bob@a.test, tokens: [{comment: x, password: 0123456789abcdef, hash_password: true}]}]"
    assert not update(token).is_empty
    assert update(token).is_empty


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("{PBKDF2}$pbkdf2-sha256$1000$rvVeaw3B2BvD.L835rzX2g$UMKeSZtCLY9bL4o.7R5325RVNPMbLYi0ELbfJjimE4k", "$pbkdf2"),
        ("{BLF-CRYPT}$2b$05$MfU0FeerFZMNDLMNvNAzoO9CXXtJkDWe8XFVqHgORmpvX2Hxsw4xS", "$2b$05$"),
        ("{CRYPT}$1$F2OStvi1$Q8hBIHkdJpJkJn/TrMIZ9/", "$1$F2"),
    ],
)
def test_marks_of_old_hashes_are_taken_off(filled: Configuration, update: Import, given: str, stored: str) -> None:
    update({"user": [{"email": "bob@a.test", "password": given}]})
    assert user(filled, "bob@a.test").password.startswith(stored)


def test_an_earlier_mailu_numbers_its_grants(filled: Configuration, update: Import) -> None:
    plan = update(
        "domain: [{name: a.test, domain_accesses: [4]}]\nuser: [{email: carl@b.test, domain_accesses: [4, 5]}]"
    )
    with filled.store.read() as session:
        grants = session.execute(select(DomainAccess.user_email, DomainAccess.domain_name)).all()
    assert ("carl@b.test", "a.test") in grants
    assert plan.notices == ("user[0].domain_accesses: no domain of the document has the grant 5",)


def test_a_note_is_a_comment(filled: Configuration, update: Import) -> None:
    update("alias: [{email: team@a.test, note: for the team}]")
    assert names(filled, Alias.comment) == {"for the team", ""}


NEW = f"email: new@a.test, password: '{HASH}'"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("user: [{-email: nobody@a.test}]", "user[0].-email: there is no user nobody@a.test to delete"),
        ("user: [{-email: bob@a.test, comment: x}]", "user[0]: nothing can stand beside -email"),
        ("user: [{email: bob@a.test}, {-email: bob@a.test}]", "user[1].-email: bob@a.test is named at user[0]"),
        ("user: [{email: bob@a.test}, {email: BOB@a.test}]", "user[1].email: bob@a.test is named already, at user[0]"),
        ("alias: [{email: team@a.test, destination: [-x@y.test]}]", "alias[0].destination: x@y.test cannot be taken"),
        ("user: [{email: ann@a.test, manager_of: [-a.test]}]", "user[0].manager_of[0]: a.test cannot be taken away"),
        ("user: [{email: bob@a.test, -comment: x}]", "user[0].-comment: -comment: null resets it"),
        ("user: [{email: bob@a.test, -password: null}]", "user[0].-password: a password cannot be reset"),
        (
            "user: [{email: bob@a.test, quota: 1}]",
            "user[0].quota: there is no such attribute; did you mean",
        ),
        ("user: [{email: bob@a.test, quota_bytes: 1G}]", "user[0].quota_bytes: a whole number from 0"),
        ("user: [{email: bob@a.test, enabled: 1}]", "user[0].enabled: true or false is needed"),
        ("user: [{email: bob@a.test, password: secret}]", "user[0].password: this is no hash of a known kind"),
        ("user: [{email: bob@a.test, password: 12345678, hash_password: true}]", "put it in quotes"),
        ("user: [{email: bob@a.test, hash_password: 'yes'}]", "user[0].hash_password: true or false is needed"),
        ("user: [{email: bob@a.test, forward_enabled: true}]", "user[0].forward_destination: a forward needs"),
        ("user: [{email: bob@a.test, reply_startdate: 3000-01-01}]", "user[0].reply_enddate: the last day comes"),
        ("user: [{email: bob@a.test, manager_of: [x.test]}]", "user[0].manager_of: there is no domain x.test"),
        ("user: [{email: new@a.test}]", "user[0].password: this is needed"),
        (f"user: [{{{NEW}, home: ../x}}]", "user[0].home: '../x' is not a folder below mail/"),
        (f"user: [{{email: x@alt.test, password: '{HASH}'}}]", "user[0].email: alt.test is another name of a.test"),
        (f"user: [{{email: x@none.test, password: '{HASH}'}}]", "user[0].email: there is no domain none.test"),
        (f"user: [{{email: team@a.test, password: '{HASH}'}}]", "user[0].email: team@a.test is an alias already"),
        ("alias: [{email: bob@a.test, destination: x@y.test}]", "alias[0].email: bob@a.test is a user already"),
        ("alias: [{email: new@a.test}]", "alias[0].destination: this is needed"),
        ("alias: [{email: new@a.test, destination: new@a.test}]", "an alias cannot stand for itself"),
        ("alias: [{email: team@a.test, owner_email: no@a.test}]", "alias[0].owner_email: there is no user no@a.test"),
        ("domain: [{name: a.test, alternatives: [relayed.test]}]", "relay: relayed.test cannot be relayed"),
        ("domain: [{name: a.test, alternatives: [b.test]}]", "domain[0].alternatives: b.test is a domain already"),
        ("domain: [{name: relayed.test}]", "relayed.test cannot be relayed: it is a domain"),
        ("relay: [{name: alt.test}]", "relay[0]: alt.test cannot be relayed: it is another name of a.test"),
        ("domain: [{name: a..test}]", "domain[0].name: 'a..test' is not a domain name"),
        ("domain: [{name: a.test, dkim_key: rubbish}]", "domain[0].dkim_key: this is neither"),
        ("domain: [{name: a.test, dkim_keys: [{selector: x}]}]", "domain[0].dkim_keys[0]: a mapping with selector"),
        ("user: [{email: ann@a.test, fetches: [{host: x}]}]", "user[0].fetches[0].protocol: this is needed"),
        ("user: [{email: ann@a.test, tokens: [{comment: x}]}]", "user[0].tokens[0].password: this is needed"),
        ("user: [{email: ann@a.test, tokens: [{-id: 7}]}]", "the user has none with the id 7"),
        ("user: [{email: ann@a.test, tokens: [{id: x}]}]", "user[0].tokens[0].id: a whole number"),
        ("user: [{email: ann@a.test, tokens: x}]", "user[0].tokens: a list is needed"),
        ("user: [x]", "user[0]: a mapping with email is needed"),
        ("user: [{comment: x}]", "user[0].email: this is needed"),
        ("user: [{email: [x]}]", "user[0].email: an address is a text"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_nothing_changes(
    filled: Configuration, update: Import, document: str, said: str
) -> None:
    before = exported(filled)
    assert any(said in line for line in refused(update, document)), refused(update, document)
    assert exported(filled) == before


def test_everything_that_is_wrong_is_said_at_once_with_lines(update: Import) -> None:
    text = (
        "user:\n  - email: bob@a.test\n    enabled: 7\n  - email: ann@a.test\n    quota_bytes: -1\nrelay:\n  - nme: x\n"
    )
    said = refused(update, text)
    assert [line.partition(":")[0] for line in said] == [
        "user[0].enabled (line 3)",
        "user[1].quota_bytes (line 5)",
        "relay[0].name (line 7)",
    ]


def test_reading_stops_after_many_problems(update: Import) -> None:
    said = refused(update, {"user": [{"email": f"bob{n}"} for n in range(500)]})
    assert len(said) == 50


def test_deleting_by_name_is_for_updates(filled: Configuration) -> None:
    said = refused(
        lambda given: filled.apply(given, actor=ME), read_document("domain: [{name: a.test}, {-name: b.test}]")
    )
    assert len(said) == 1
    assert said[0].startswith("domain[1].-name: only an update deletes by name")


def senders(configuration: Configuration) -> set[tuple[str, str, str, str]]:
    with configuration.store.read() as session:
        rows = session.scalars(select(ListedSender))
        return {(row.owner, row.sender, row.verdict, row.comment) for row in rows}


def test_lists_of_senders_are_added_to_and_taken_from(filled: Configuration, update: Import) -> None:
    update("user: [{email: ann@a.test, denied_senders: [Spam.test, {sender: x@y.test, comment: why}]}]")
    update("domain: [{name: a.test, allowed_senders: [shop.test]}]")
    update("sender: [{sender: 192.0.2.0/24, verdict: deny}]")
    before = {
        ("ann@a.test", "spam.test", "deny", ""),
        ("ann@a.test", "x@y.test", "deny", "why"),
        ("a.test", "shop.test", "allow", ""),
        ("", "192.0.2.0/24", "deny", ""),
    }
    assert senders(filled) == before
    update("user: [{email: ann@a.test, denied_senders: [-spam.test], allowed_senders: [spam.test]}]")
    assert senders(filled) ^ before == {("ann@a.test", "spam.test", v, "") for v in ("allow", "deny")}
    update("sender: [{sender: 192.0.2.0/24, verdict: allow, comment: us}, {sender: top, verdict: deny}]")
    assert {each for each in senders(filled) if not each[0]} == {
        ("", "192.0.2.0/24", "allow", "us"),
        ("", "top", "deny", ""),
    }
    update("sender: [{-sender: top}]\nuser: [{email: ann@a.test, -denied_senders: null}]")
    assert {each[:3] for each in senders(filled)} == {
        ("ann@a.test", "spam.test", "allow"),
        ("a.test", "shop.test", "allow"),
        ("", "192.0.2.0/24", "allow"),
    }
    update("sender: [{-sender: null}]")
    assert "" not in {each[0] for each in senders(filled)}


def test_what_cannot_stand_on_a_list_of_senders_is_told_with_its_place(update: Import) -> None:
    given = """
user: [{email: ann@a.test, denied_senders: [192.0.2.1], allowed_senders: [com, spam.test]}]
domain: [{name: a.test, denied_senders: [x@spam.test], allowed_senders: [X@spam.test]}]
sender: [{sender: shop.test}, {sender: 0.0.0.0/0, verdict: deny}]
"""
    places = [problem.partition(" ")[0].rstrip(":") for problem in refused(update, given)]
    assert sorted(places) == [
        "sender[0].verdict",
        "sender[1].sender",
        "user[0].allowed_senders[0]",
        "user[0].denied_senders[0]",
    ]
    (said,) = refused(update, "domain: [{name: a.test, denied_senders: [x@s.test], allowed_senders: [X@s.test]}]")
    assert said.startswith("domain[0].denied_senders")
