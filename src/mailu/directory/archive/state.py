"""The directory as a document would say it: every thing as a record of what differs from the defaults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailu.directory.archive.attributes import (
    ALIAS,
    API_TOKEN,
    DOMAIN,
    FETCH,
    RELAY,
    SENDER,
    SENDER_LISTS,
    TLS_EXCEPTION,
    TOKEN,
    USER,
    Kind,
    Record,
)
from mailu.directory.changes.senders import on_list
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
from mailu.directory.sender_lists import SERVER

_TABLES: dict[str, type[Base]] = {
    "domain": Domain,
    "user": User,
    "alias": Alias,
    "relay": Relay,
    "sender": ListedSender,
    "tls_exception": TlsException,
    "api_token": ApiToken,
    "tokens": Token,
    "fetches": Fetch,
}


@dataclass(slots=True)
class State:
    """All things by section and name.

    Beside the attributes of their kind, domains have ``alternatives`` (name to comment) and, where they were asked
    for, ``dkim_key`` and ``dkim_keys``; users have ``manager_of``, ``domain_accesses`` (domain to comment),
    ``tokens`` and ``fetches`` (tuples of records with an ``id``). Both have ``allowed_senders`` and ``denied_senders``
    (sender to comment); ``sender`` is the list of the whole server.
    """

    domain: dict[str, Record] = field(default_factory=dict)
    user: dict[str, Record] = field(default_factory=dict)
    alias: dict[str, Record] = field(default_factory=dict)
    relay: dict[str, Record] = field(default_factory=dict)
    sender: dict[str, Record] = field(default_factory=dict)
    tls_exception: dict[str, Record] = field(default_factory=dict)
    api_token: dict[str, Record] = field(default_factory=dict)
    """By number, as a text."""

    def section(self, name: str) -> dict[str, Record]:
        """The things of one section, by name."""
        found: dict[str, Record] = getattr(self, name)
        return found


def load_state(session: Session, *, facts: bool = False) -> State:
    """Read the directory. *facts*: also dates, used quota and the like."""
    state = State(
        domain=_things(session, DOMAIN, facts),
        user=_things(session, USER, facts),
        alias=_things(session, ALIAS, facts),
        relay=_things(session, RELAY, facts),
        sender=_things(session, SENDER, facts),
        tls_exception=_things(session, TLS_EXCEPTION, facts),
        api_token=_things(session, API_TOKEN, facts),
    )
    for record in state.relay.values():
        if record.get("smtp", "") is None:  # as old rows have it
            del record["smtp"]
    for email, record in state.user.items():
        if record["home"] == email:
            del record["home"]
    _add_names(session, state)
    _add_senders(session, state)
    _add_belongings(session, state, facts)
    return state


def _things(session: Session, kind: Kind, facts: bool) -> dict[str, Record]:
    return {str(key): record for key, record in _records(session, kind, facts)}


def _records(session: Session, kind: Kind, facts: bool, *owner: str) -> Iterator[Any]:
    """Key (and owner's address) and record of each row, in the order of the keys."""
    table = _TABLES[kind.section]
    wanted = [each for each in kind.attributes.values() if facts or not each.fact or each.name == "home"]
    names, defaults = [each.name for each in wanted], [each.default for each in wanted]
    leading = [getattr(table, name) for name in (kind.key, *owner)]
    columns = [getattr(table, name) for name in names]
    query = select(*leading, *columns).order_by(leading[0])
    for row in session.execute(query.where(on_list(SERVER)) if kind is SENDER else query):
        found = zip(names, defaults, row[len(leading) :], strict=True)
        yield (*row[: len(leading)], {name: value for name, default, value in found if value != default})


def _add_names(session: Session, state: State) -> None:
    rows = session.execute(select(Alternative.domain_name, Alternative.name, Alternative.comment))
    for domain, name, comment in sorted(tuple(row) for row in rows):
        state.domain[domain].setdefault("alternatives", {})[name] = comment


def _add_senders(session: Session, state: State) -> None:
    names = {verdict: name for name, verdict in SENDER_LISTS.items()}
    table = ListedSender
    rows = session.execute(select(table.user_email, table.domain_name, table.verdict, table.sender, table.comment))
    for email, domain, verdict, sender, comment in sorted(rows, key=lambda row: row.sender):
        record = state.user[email] if email else state.domain[domain] if domain else None
        if record is not None:
            record.setdefault(names[verdict], {})[sender] = comment


def _add_belongings(session: Session, state: State, facts: bool) -> None:
    managers = session.execute(select(Manager.user_email, Manager.domain_name))
    for email, names in _grouped(managers).items():
        state.user[email]["manager_of"] = tuple(sorted(names))
    accesses = session.execute(select(DomainAccess.user_email, DomainAccess.domain_name, DomainAccess.comment))
    for email, domain, comment in sorted(tuple(row) for row in accesses):
        state.user[email].setdefault("domain_accesses", {})[domain] = comment
    for kind in (TOKEN, FETCH):
        owned = ((email, {"id": key, **record}) for key, email, record in _records(session, kind, facts, "user_email"))
        for email, records in _grouped(owned).items():
            state.user[email][kind.section] = tuple(records)


def _grouped(pairs: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
