"""The whole directory in memory, as it was at one moment: what every look-up is answered from.

A snapshot never changes; the server loads a new one after each change and swaps it in. Loading takes plain rows, no
objects of the ORM: a hundred thousand mailboxes take some tenths of a second. Mailboxes are kept by address in one
dictionary, so a look-up costs the same however many there are.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from mailu.address import DomainName, split_detail
from mailu.directory.models import (
    Alias,
    Alternative,
    Domain,
    DomainAccess,
    ListedSender,
    Manager,
    Passkey,
    Relay,
    TlsException,
    Token,
    Totp,
    User,
    Version,
)
from mailu.directory.relay_recipients import ASK
from mailu.directory.sender_lists import SenderEntry, SenderLists, collect
from mailu.directory.store import NoSchema, Store
from mailu.directory.wildcards import WildcardIndex


class NotReady(Exception):
    """There is no snapshot yet: nobody knows anything. Answered as a temporary failure, never as "no such user"."""


class UserEntry(NamedTuple):
    """One mailbox and its owner. Field names are the columns' (``models.User``)."""

    email: str
    domain_name: str
    password: str
    enabled: bool
    global_admin: bool
    enable_imap: bool
    enable_pop: bool
    allow_spoofing: bool
    change_pw_next_login: bool
    quota_bytes: int
    quota_bytes_used: int
    home: str
    forward_enabled: bool
    forward_destination: tuple[str, ...]
    forward_keep: bool
    reply_enabled: bool
    reply_subject: str | None
    reply_body: str | None
    reply_startdate: date
    reply_enddate: date
    displayed_name: str
    spam_enabled: bool
    spam_mark_as_read: bool
    spam_threshold: int
    message_ratelimit: str | None
    mail_rules: str | None = None


class AliasEntry(NamedTuple):
    """One alias; ``enabled`` is false where it or its owner is disabled, and then it never matches."""

    email: str
    localpart: str
    domain_name: str
    wildcard: bool
    destination: tuple[str, ...]
    enabled: bool
    owner_email: str | None
    hostname: str | None


class DomainEntry(NamedTuple):
    """One domain whose mail is kept here."""

    name: str
    max_users: int
    max_aliases: int
    max_quota_bytes: int
    signup_enabled: bool
    anonmail_enabled: bool
    mta_sts: str = "off"


class RelayEntry(NamedTuple):
    """One domain whose mail is passed on. *recipients* is one of ``relay_recipients``, *listed* are localparts."""

    smtp: str | None
    recipients: str = ASK
    listed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SmartHost:
    """Where mail of a domain's senders goes (as stored, see ``relay_target``), and the log-in; *user* None: no need."""

    host: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)


class TlsExceptionEntry(NamedTuple):
    """A TLS level that is enough for a destination, and the last day (UTC) on which it is."""

    level: str
    last_day: date


class TokenEntry(NamedTuple):
    """One app password: ``password`` is its hash, ``ip`` the networks (CIDR) it works from (none: anywhere)."""

    id: int
    password: str
    ip: tuple[str, ...]
    comment: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that look-ups need. Keys are canonical addresses and domain names."""

    version: int = 0
    """``Store.data_version`` of the moment it shows."""
    delimiters: str = "+"
    """RECIPIENT_DELIMITER: each character of it starts the detail of a localpart."""
    wildcard_senders: frozenset[str] = frozenset()
    """WILDCARD_SENDERS: logins that may send as anybody."""
    domains: Mapping[str, DomainEntry] = field(default_factory=dict)
    alternatives: Mapping[str, DomainName] = field(default_factory=dict)
    """Other name of a domain -> the domain."""
    relays: Mapping[str, RelayEntry] = field(default_factory=dict)
    """Relayed domains; the target is as stored (see ``relay_target``)."""
    smart_hosts: Mapping[str, SmartHost] = field(default_factory=dict)
    """By the sending domain; absent where it has none of its own."""
    tls_exceptions: Mapping[str, TlsExceptionEntry] = field(default_factory=dict)
    """By the destination; those that are over may be among them."""
    users: Mapping[str, UserEntry] = field(default_factory=dict)
    aliases: Mapping[str, AliasEntry] = field(default_factory=dict)
    """Aliases that are no patterns, by address."""
    wildcards: Mapping[str, WildcardIndex[AliasEntry]] = field(default_factory=dict)
    """Enabled wildcard aliases, by domain."""
    tokens: Mapping[str, tuple[TokenEntry, ...]] = field(default_factory=dict)
    """By the owner's address; absent where there are none."""
    managed_domains: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Domains that a user looks after, by the user's address."""
    granted_domains: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Domains where a user may make anonymous aliases by a grant, by the user's address."""
    spoofers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Enabled users with ``allow_spoofing``, by domain."""
    led_to: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Which aliases and forwarding users name an address as a destination, by that address without detail."""
    alternatives_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The other names of a domain, by the domain."""
    second_factors: frozenset[str] = frozenset()
    """Who signs on with more than a password, so that the password alone opens nothing."""
    sender_lists: SenderLists = field(default_factory=SenderLists)


def load_snapshot(store: Store, *, delimiters: str = "+", wildcard_senders: Collection[str] = frozenset()) -> Snapshot:
    """Load the directory as it is now, in one transaction.

    Raises NoSchema before the first upgrade, and sqlalchemy's DBAPIError when the database does not answer; the
    caller keeps the snapshot it has.
    """
    with store.reading() as connection, without_collector():
        version = read_version(connection)
        users = read_users(connection)
        exact, patterns = read_aliases(connection, users)
        found = Snapshot(
            version=version,
            delimiters=delimiters,
            wildcard_senders=frozenset(wildcard_senders),
            users=users,
            aliases=exact,
            wildcards={domain: WildcardIndex(items) for domain, items in patterns.items()},
            spoofers=spoofers_of(users),
        )
        found = with_the_rest(connection, found)
        return replace(found, led_to=_led_to(users, exact, patterns, found.alternatives, delimiters))


def with_the_rest(connection: Connection, found: Snapshot) -> Snapshot:
    """*found* with everything that is neither mailbox nor alias, read anew: of that there is little."""
    alternatives = _alternatives(connection)
    return replace(
        found,
        domains={row[0]: DomainEntry._make(row) for row in _rows(connection, *_columns(Domain, DomainEntry))},
        alternatives=alternatives,
        relays=_relays(connection),
        smart_hosts=_smart_hosts(connection),
        tls_exceptions=_tls_exceptions(connection),
        tokens=_tokens(connection),
        managed_domains=_sets(_rows(connection, Manager.user_email, Manager.domain_name)),
        granted_domains=_sets(_rows(connection, DomainAccess.user_email, DomainAccess.domain_name)),
        alternatives_of=_groups((domain, name) for name, domain in alternatives.items()),
        second_factors=frozenset(row[0] for table in (Totp, Passkey) for row in _rows(connection, table.user_email)),
        sender_lists=_sender_lists(connection),
    )


def read_version(connection: Connection) -> int:
    """The version that *connection* sees. Raises NoSchema."""
    version: int | None = connection.scalar(select(Version.changes))
    if version is None:
        raise NoSchema("the database has no version row")
    return version


def _alternatives(connection: Connection) -> dict[str, DomainName]:
    return {name: DomainName(domain) for name, domain in _rows(connection, Alternative.name, Alternative.domain_name)}


def _relays(connection: Connection) -> dict[str, RelayEntry]:
    rows = _rows(connection, Relay.name, Relay.smtp, Relay.recipients, Relay.listed_recipients)
    return {name: RelayEntry(smtp, recipients, frozenset(listed)) for name, smtp, recipients, listed in rows}


def _smart_hosts(connection: Connection) -> dict[str, SmartHost]:
    columns = (Domain.name, Domain.relayhost, Domain.relayuser, Domain.relaypassword)
    return {name: SmartHost(host, user, password) for name, host, user, password in _rows(connection, *columns) if host}


def _tls_exceptions(connection: Connection) -> dict[str, TlsExceptionEntry]:
    rows = _rows(connection, TlsException.name, TlsException.level, TlsException.last_day)
    return {name: TlsExceptionEntry(*entry) for name, *entry in rows}


def load_usage(store: Store) -> dict[str, int]:
    """Used bytes of every mailbox, by address: what changes all the time, without the rest."""
    with store.reading() as connection:
        return dict(_rows(connection, User.email, User.quota_bytes_used))


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep the cyclic collector from walking the growing heap: it doubles the time and finds nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _rows(connection: Connection, *columns: Any) -> Iterator[Any]:
    return iter(connection.execute(select(*columns)))


def _columns(table: Any, entry: Any) -> list[Any]:
    return [getattr(table, name) for name in entry._fields]


def _some(column: Any, names: Collection[str] | None) -> Any:
    """The condition for *names* in *column*; none for None, which means all."""
    return True if names is None else column.in_(sorted(names))


def read_users(connection: Connection, names: Collection[str] | None = None) -> dict[str, UserEntry]:
    """Mailboxes by address: those called *names*, or all."""
    make = UserEntry._make
    rows = connection.execute(select(*_columns(User, UserEntry)).where(_some(User.email, names)))
    return {row[0]: make(row) for row in rows}


def read_aliases(
    connection: Connection, users: Mapping[str, UserEntry], names: Collection[str] | None = None
) -> tuple[dict[str, AliasEntry], dict[str, list[tuple[str, AliasEntry]]]]:
    """Aliases by address, and enabled patterns with their aliases by domain; those called *names*, or all."""
    exact: dict[str, AliasEntry] = {}
    patterns: dict[str, list[tuple[str, AliasEntry]]] = {}
    columns = (Alias.email, Alias.localpart, Alias.domain_name, Alias.wildcard, Alias.destination)
    wanted = select(*columns, Alias.disabled, Alias.owner_email, Alias.hostname).where(_some(Alias.email, names))
    for email, localpart, domain, wildcard, destination, disabled, owner, hostname in connection.execute(wanted):
        enabled = not disabled and (owner is None or owner not in users or users[owner].enabled)
        entry = AliasEntry(email, localpart, domain, wildcard, destination, enabled, owner, hostname)
        if not entry.wildcard:
            exact[entry.email] = entry
        elif entry.enabled:
            patterns.setdefault(entry.domain_name, []).append((entry.localpart, entry))
    return exact, patterns


def spoofers_of(users: Mapping[str, UserEntry]) -> dict[str, tuple[str, ...]]:
    """Who of *users* may send as anybody of the own domain, by domain."""
    return _groups((user.domain_name, user.email) for user in users.values() if user.allow_spoofing and user.enabled)


def _tokens(connection: Connection) -> dict[str, tuple[TokenEntry, ...]]:
    found: dict[str, list[TokenEntry]] = {}
    for email, *row in _rows(connection, Token.user_email, Token.id, Token.password, Token.ip, Token.comment):
        found.setdefault(email, []).append(TokenEntry(*row))
    return {email: tuple(sorted(tokens)) for email, tokens in found.items()}


def _sender_lists(connection: Connection) -> SenderLists:
    table = ListedSender
    columns = (table.user_email, table.domain_name, table.id, table.sender, table.verdict, table.comment)
    rows = _rows(connection, *columns)
    return collect((user or domain or "", SenderEntry(*entry)) for user, domain, *entry in rows)


def _groups(pairs: Any) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return {key: tuple(sorted(values)) for key, values in found.items()}


def _sets(pairs: Any) -> dict[str, frozenset[str]]:
    return {key: frozenset(values) for key, values in _groups(pairs).items()}


def _led_to(
    users: Mapping[str, UserEntry],
    exact: Mapping[str, AliasEntry],
    patterns: Mapping[str, list[tuple[str, AliasEntry]]],
    alternatives: Mapping[str, str],
    delimiters: str,
) -> dict[str, tuple[str, ...]]:
    sources = [(alias.email, alias.destination) for alias in exact.values() if alias.enabled]
    sources += [(alias.email, alias.destination) for items in patterns.values() for _, alias in items]
    sources += [
        (user.email, user.forward_destination) for user in users.values() if user.forward_enabled and user.enabled
    ]
    found: dict[str, set[str]] = {}
    for source, destinations in sources:
        for target in targets_of(destinations, alternatives, delimiters):
            found.setdefault(target, set()).add(source)
    return {target: tuple(sorted(sources)) for target, sources in found.items()}


def targets_of(destinations: Collection[str], alternatives: Mapping[str, str], delimiters: str) -> set[str]:
    """The addresses that *destinations* mean: as they are, and without detail."""
    found = set[str]()
    for destination in destinations:
        localpart, _, domain = destination.lower().rpartition("@")
        domain = alternatives.get(domain, domain)
        found |= {f"{localpart}@{domain}", f"{split_detail(localpart, delimiters)[0]}@{domain}"}
    return found
