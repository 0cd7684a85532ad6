"""Keys to the API in documents: a server that moves keeps them, and no document takes them away by silence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from tests.unit.directory.archive.conftest import ME, Import, exported, refused

from mailu.configuration import Configuration
from mailu.directory.api_tokens import create_api_token, find_api_token
from mailu.directory.archive import document_of, read_document
from mailu.directory.changes import SYSTEM

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = {"domain": [{"name": "a.test"}], "user": [], "alias": [], "relay": []}


@pytest.fixture
def secret(filled: Configuration) -> str:
    with filled.store.session() as session:
        create_api_token(session, comment="another", actor=SYSTEM)
        return create_api_token(session, comment="backup", domains=["a.test"], read_only=True, actor=SYSTEM)[1]


def works(configuration: Configuration, secret: str) -> bool:
    with configuration.store.read() as session:
        return find_api_token(session, secret, now=NOW) is not None


def test_with_secrets_they_move_and_whoever_has_one_goes_on_using_it(
    filled: Configuration, make: Callable[[], Configuration], secret: str
) -> None:
    other = make()
    text = exported(filled, secrets=True).replace("$pbkdf2-sha256$1$x", "<hidden>")
    assert secret not in text
    other.apply(read_document("api_token:" + text.partition("api_token:")[2]), actor=ME, update=True)
    assert works(other, secret)
    with other.store.read() as session:
        entry = find_api_token(session, secret, now=NOW)
    assert entry is not None
    assert (entry.id, entry.read_only, entry.domains) == (2, True, frozenset({"a.test"}))


def test_without_secrets_they_are_shown_and_stay_as_they_are(filled: Configuration, secret: str) -> None:
    text = exported(filled, full=True)
    assert 'digest: "<hidden>"' in text
    filled.apply(read_document(text), actor=ME)
    assert works(filled, secret)


def test_a_document_that_says_nothing_about_them_leaves_them(
    filled: Configuration, replace: Import, secret: str
) -> None:
    replace(PEOPLE)
    assert works(filled, secret)
    replace({**PEOPLE, "api_token": []})
    assert not works(filled, secret)


def test_they_are_changed_and_deleted_by_number(filled: Configuration, update: Import, secret: str) -> None:
    update({"api_token": [{"id": 2, "read_only": False, "expires_at": "2025-01-01T00:00:00Z"}]})
    assert not works(filled, secret)
    update({"api_token": [{"-id": 2}]})
    assert [entry["id"] for entry in read_document(exported(filled)).sections["api_token"]] == [1]


def test_the_digest_is_no_part_of_plans_and_the_trail(filled: Configuration, secret: str) -> None:
    digest = "0123456789abcdef" * 4
    document = document_of({"api_token": [{"id": 2, "digest": digest}, {"id": 7, "digest": digest[::-1]}]})
    plan = filled.plan(document, update=True)
    assert digest not in str([list(change.fields()) for change in plan.changes])
    filled.apply(document, actor=ME, update=True)
    with filled.store.read() as session:
        rows = session.connection().exec_driver_sql("SELECT action, detail FROM audit ORDER BY id").all()
    assert {"api_token.update", "api_token.create"} <= {row[0] for row in rows[-4:]}
    assert digest not in str(rows)
    assert digest[::-1] not in str(rows)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"id": 9}, "api_token[0].digest: this is needed, and not hidden: there is no key 9 here that has one"),
        ({"id": 9, "digest": "<hidden>"}, "api_token[0].digest: this is needed"),
        ({"id": 2, "digest": "abc"}, "api_token[0].digest: 64 hexadecimal digits are needed"),
        ({"id": "two"}, "api_token[0].id: a whole number from 1 to 2147483647 is needed"),
        ({"comment": "x"}, "api_token[0].id: this is needed"),
        ({"id": 2, "domains": ["not a domain"]}, "api_token[0].domains: 'not a domain' is not a domain name"),
        ({"-id": 9}, "api_token[0].-id: there is no api_token 9 to delete"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_changed(
    filled: Configuration, update: Import, secret: str, entry: dict[str, object], said: str
) -> None:
    before = exported(filled)
    (problem,) = refused(update, {"api_token": [entry]})
    assert problem.startswith(said)
    assert exported(filled) == before


def test_two_keys_are_never_one(update: Import, secret: str) -> None:
    twice = [{"id": number, "digest": "0" * 64} for number in (8, 9)]
    assert refused(update, {"api_token": twice}) == ["api_token[1].digest: this is the digest of key 8 already"]
