"""Export, import, export: the same document, for every column of every table that a document speaks of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.unit.directory.archive.conftest import HASH, ME, OTHER_HASH, exported

from mailu.configuration import Configuration
from mailu.directory.archive import KINDS, read_document
from mailu.directory.archive.attributes import FETCH, TOKEN
from mailu.directory.models import (
    Alias,
    Alternative,
    ApiToken,
    Base,
    Domain,
    DomainAccess,
    Fetch,
    ListedSender,
    Manager,
    Relay,
    TlsException,
    Token,
    User,
)

LEFT_OUT = {
    "user": {"localpart", "domain_name"},  # parts of the address
    "alias": {"localpart", "domain_name"},
    "token": {"user_email"},  # the user that it stands below
    "fetch": {"user_email"},
    # Other names, rights and grants are lists of names with a comment; nothing reads when they were made.
    "alternative": {"name", "domain_name", "comment", "created_at", "updated_at"},
    "manager": {"domain_name", "user_email"},
    # Of a domain or a user they are lists of names with a comment; of the server, a section.
    "listed_sender": {"id", "user_email", "domain_name"},
    "domain_access": {"id", "domain_name", "user_email", "comment", "created_at", "updated_at"},
}
NOT_CONFIGURATION = {
    "config",  # small values of programs
    "retired", "audit", "version", "trail", "mail_count",  # memory of what was, and counters
    "totp", "passkey", "recovery_code", "reset_link",  # bound to a device, to this server's key or to an hour
}  # fmt: skip
"""No document makes these; to move them too, a server is moved with its root and its database."""


def test_every_column_is_in_the_document_or_left_out_for_a_reason() -> None:
    attributes = {name: {kind.key, *kind.attributes} for name, kind in KINDS.items()}
    attributes |= {"token": {"id", *TOKEN.attributes}, "fetch": {"id", *FETCH.attributes}}
    attributes["listed_sender"] = attributes.pop("sender")
    for name in Base.metadata.tables.keys() - NOT_CONFIGURATION:
        columns = set(Base.metadata.tables[name].columns.keys())
        assert columns == attributes.get(name, set()) | LEFT_OUT.get(name, set()), name


def test_an_installation_with_everything_set_comes_back_the_same(make: Callable[[], Configuration]) -> None:
    one, other = make(), make()
    with one.store.session() as session:
        for row in _everything():
            session.add(row)
            session.flush()
    (one.places.dkim / "xn--bcher-kva.test.dkim.key").write_text(_key())
    (one.places.dkim / "xn--bcher-kva.test.next.key-pending").write_text(_key())
    text = exported(one)
    plan = other.apply(read_document(text), actor=ME)
    assert exported(other) == text
    assert plan.notices == ()
    for configuration in (one, other):
        assert configuration.plan(read_document(text)).is_empty
        assert configuration.plan(read_document(exported(configuration, secrets=True))).is_empty
        assert configuration.plan(read_document(exported(configuration, full=True))).is_empty
    assert sorted(path.name for path in other.places.dkim.iterdir()) == [
        "xn--bcher-kva.test.dkim.key",
        "xn--bcher-kva.test.next.key-pending",
    ]


def test_in_that_installation_no_column_has_its_default() -> None:
    """Else a column that is never written down would not be missed."""
    told: dict[str, set[str]] = {}
    for row in _everything():
        table = row.__table__
        for column in table.columns.values():
            value = getattr(row, column.key)
            usual = column.default.arg if column.default is not None and column.default.is_scalar else None
            if value is not None and value != usual:
                told.setdefault(table.name, set()).add(column.key)  # type: ignore[attr-defined]
    for name in Base.metadata.tables.keys() - NOT_CONFIGURATION:
        columns = set(Base.metadata.tables[name].columns.keys()) - UNTOLD.get(name, set())
        assert columns == told.get(name, set()) - UNTOLD.get(name, set()), name


UNTOLD = {
    "alternative": {"created_at", "updated_at"},
    "domain_access": {"id", "created_at", "updated_at"},
    "listed_sender": {"id"},
}
"""Columns that no document holds."""


def _key() -> str:
    from mailu.identity.dkim_staging import generated_pem

    return generated_pem("ed25519")


def _everything() -> list[Base]:
    """Rows in which no column has its default."""
    days = {"created_at": date(2020, 2, 3), "updated_at": date(2021, 3, 4), "comment": "a comment: with # signs"}
    moment = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
    user = User(
        email="-ann/x+y@xn--bcher-kva.test",
        localpart="-ann/x+y",
        domain_name="xn--bcher-kva.test",
        password=HASH,
        quota_bytes=0,
        quota_bytes_used=77,
        global_admin=True,
        enabled=False,
        enable_imap=False,
        enable_pop=False,
        allow_spoofing=True,
        forward_enabled=True,
        forward_destination=("-x@xn--bcher-kva.test", "b@c.test"),
        forward_keep=False,
        reply_enabled=True,
        reply_subject="yes",
        reply_body="Line\n\n  indented\n- item\n",
        reply_startdate=date(2026, 1, 1),
        reply_enddate=date(2026, 1, 1),
        displayed_name="Ann \N{SNOWMAN} 'B'",
        spam_enabled=False,
        spam_mark_as_read=False,
        spam_threshold=0,
        change_pw_next_login=True,
        home="somewhere/else~3",
        last_login=moment,
        message_ratelimit="10/day",
        mail_rules='[{"name":"a: \\"b\\" # c","match":"always","folder":"x/y","stop":false}]',
        **days,
    )
    return [
        Domain(
            name="xn--bcher-kva.test",
            max_users=7,
            max_aliases=0,
            max_quota_bytes=5,
            signup_enabled=True,
            anonmail_enabled=True,
            mta_sts="enforce",
            relayhost="smtp.c.test:587",
            relayuser="us",
            relaypassword="at the smart host",
            **days,
        ),
        Domain(name="c.test", created_at=date(2020, 2, 3)),
        Alternative(name="alt.test", domain_name="c.test", comment="since 2020"),
        Relay(name="relayed.test", smtp="192.0.2.1:26", recipients="listed", listed_recipients=("-ann", "bob"), **days),
        Relay(name="old.test", smtp=None, created_at=date(2020, 2, 3)),
        TlsException(
            name="xn--bcher-kva.test",
            level="none",
            last_day=date(2020, 3, 1),
            created_by="me",
            **days,
        ),
        user,
        Manager(domain_name="c.test", user_email=user.email),
        DomainAccess(domain_name="c.test", user_email=user.email, comment="for shops"),
        ListedSender(sender="-odd@spam.test", verdict="deny", created_by="me", **days),
        ListedSender(sender="2001:db8::/32", verdict="allow", created_by="us", created_at=date(2020, 2, 3)),
        ListedSender(domain_name="c.test", sender="xn--bcher-kva.test", verdict="allow", comment="books"),
        ListedSender(domain_name="c.test", sender="spam.test", verdict="deny"),
        ListedSender(user_email=user.email, sender="-x@spam.test", verdict="deny"),
        ListedSender(user_email=user.email, sender="shop.test", verdict="allow", comment="invoices: yes"),
        Alias(
            email="a%@c.test",
            localpart="a%",
            domain_name="c.test",
            wildcard=True,
            destination=("-d@c.test", "e@c.test"),
            disabled=True,
            hostname="shop.test",
            owner_email=user.email,
            **days,
        ),
        ApiToken(
            id=43,
            digest="0123456789abcdef" * 4,
            read_only=True,
            domains=("c.test", "xn--bcher-kva.test"),
            expires_at=moment,
            last_used=moment,
            **days,
        ),
        Token(id=41, user_email=user.email, password=OTHER_HASH, ip=("192.0.2.0/24", "2001:db8::/32"), **days),
        Fetch(
            id=42,
            user_email=user.email,
            protocol="pop3",
            host="h.test",
            port=0,
            tls=True,
            username="u u",
            password="-prune-",
            keep=True,
            scan=True,
            invisible=True,
            folders=("Größe & more", "INBOX"),
            last_check=moment,
            error="it said: no\n2nd",
            **days,
        ),
    ]


LOCALPARTS = st.from_regex(r"[a-z0-9_%/-]{1,10}", fullmatch=True)
DOMAINS = st.sampled_from(["a.test", "b.test", "bücher.test"])
EMAILS = st.builds("{}@{}".format, LOCALPARTS, DOMAINS)
LINE = st.text(
    st.characters(categories=("L", "N", "P", "S"), include_characters=" ", codec="utf-8"), max_size=30
).filter(lambda text: text.isprintable())
USERS = st.fixed_dictionaries(
    {"email": EMAILS, "password": st.sampled_from([HASH, OTHER_HASH])},
    optional={
        "comment": LINE,
        "displayed_name": LINE,
        "quota_bytes": st.integers(0, 2**63 - 1),
        "enabled": st.booleans(),
        "forward_destination": st.lists(EMAILS, max_size=3),
        "reply_subject": st.none() | LINE.filter(bool),
        "reply_body": st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1),
        "reply_startdate": st.dates(date(1900, 1, 1), date(2999, 1, 1)),
        "spam_threshold": st.integers(0, 100),
        "manager_of": st.lists(DOMAINS, max_size=2, unique=True),
        "domain_accesses": st.lists(DOMAINS, max_size=2, unique=True),
        "tokens": st.lists(
            st.fixed_dictionaries({"password": st.sampled_from([HASH, OTHER_HASH]), "comment": LINE}), max_size=2
        ),
    },
)
ALIASES = st.fixed_dictionaries(
    {"email": EMAILS, "destination": st.lists(EMAILS, min_size=2, max_size=3, unique=True)},
    optional={"comment": LINE, "wildcard": st.booleans(), "disabled": st.booleans(), "hostname": st.none() | LINE},
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    users=st.lists(USERS, max_size=4, unique_by=lambda each: each["email"]),
    aliases=st.lists(ALIASES, max_size=4, unique_by=lambda each: each["email"]),
)
def test_any_document_that_is_taken_comes_back_as_itself(
    empty: Configuration, users: list[dict[str, object]], aliases: list[dict[str, object]]
) -> None:
    from mailu.directory.archive import document_of

    taken = {user["email"] for user in users}
    document = document_of(
        {
            "domain": [{"name": name} for name in ("a.test", "b.test", "bücher.test")],
            "user": users,
            "alias": [alias for alias in aliases if alias["email"] not in taken],
        }
    )
    empty.apply(document, actor=ME)
    assert empty.plan(document).is_empty
    for full in (False, True):
        text = exported(empty, full=full, secrets=True)
        assert empty.plan(read_document(text)).is_empty
        empty.apply(read_document(text), actor=ME)
        assert exported(empty, full=full, secrets=True) == text


@pytest.mark.parametrize("options", [{"secrets": True}, {"secrets": True, "full": True, "dns": True}])
def test_an_export_moves_to_another_installation(
    filled: Configuration, make: Callable[[], Configuration], options: dict[str, bool]
) -> None:
    other = make()
    with filled.store.session() as session:  # a hash that an import can take
        session.scalars(select(Token)).one().password = OTHER_HASH
    other.apply(read_document(exported(filled, **options)), actor=ME)
    assert exported(other, **options) == exported(filled, **options)
