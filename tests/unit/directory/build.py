"""Snapshots written down in a few lines. The people are always the same: admin, manager, user, stranger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any

from mailu.address import DomainName
from mailu.directory import snapshot as snapshots
from mailu.directory.snapshot import AliasEntry, DomainEntry, RelayEntry, Snapshot, UserEntry
from mailu.directory.wildcards import WildcardIndex

ELSEWHERE = "stranger@example.net"


def user(email: str, *, forward: Collection[str] = (), keep: bool = True, **fields: Any) -> UserEntry:
    """A mailbox; *forward* switches forwarding on."""
    entry = UserEntry(
        email=email,
        domain_name=email.rpartition("@")[2],
        password="$hash$",
        enabled=True,
        global_admin=False,
        enable_imap=True,
        enable_pop=True,
        allow_spoofing=False,
        change_pw_next_login=False,
        quota_bytes=1_000_000_000,
        quota_bytes_used=0,
        home=email,
        forward_enabled=bool(forward),
        forward_destination=tuple(forward),
        forward_keep=keep,
        reply_enabled=False,
        reply_subject=None,
        reply_body=None,
        reply_startdate=date(1900, 1, 1),
        reply_enddate=date(2999, 12, 31),
        displayed_name="",
        spam_enabled=True,
        spam_mark_as_read=True,
        spam_threshold=80,
        message_ratelimit=None,
    )
    return entry._replace(**fields)


def alias(
    email: str, *destinations: str, wildcard: bool = False, disabled: bool = False, owner: str = ""
) -> AliasEntry:
    """An alias; whether its owner is disabled is found out by ``directory``."""
    localpart, _, domain = email.rpartition("@")
    return AliasEntry(email, localpart, domain, wildcard, destinations, not disabled, owner or None, None)


def directory(
    *entries: UserEntry | AliasEntry,
    domains: Iterable[str] = ("example.org",),
    alternatives: Mapping[str, str] | None = None,
    relays: Mapping[str, RelayEntry] | None = None,
    delimiters: str = "+",
    wildcard_senders: Collection[str] = (),
) -> Snapshot:
    """The snapshot that the database would give for these entries."""
    users = {entry.email: entry for entry in entries if isinstance(entry, UserEntry)}
    exact: dict[str, AliasEntry] = {}
    patterns: dict[str, list[tuple[str, AliasEntry]]] = {}
    for entry in entries:
        if isinstance(entry, AliasEntry):
            owner = users.get(entry.owner_email or "")
            enabled = entry.enabled and (owner is None or owner.enabled)
            if not entry.wildcard:
                exact[entry.email] = entry._replace(enabled=enabled)
            elif enabled:
                patterns.setdefault(entry.domain_name, []).append((entry.localpart, entry))
    others = {name: DomainName(domain) for name, domain in (alternatives or {}).items()}
    return Snapshot(
        delimiters=delimiters,
        wildcard_senders=frozenset(wildcard_senders),
        domains={name: DomainEntry(name, -1, -1, 0, False, False) for name in domains},
        alternatives=others,
        relays=dict(relays or {}),
        users=users,
        aliases=exact,
        wildcards={domain: WildcardIndex(items) for domain, items in patterns.items()},
        spoofers=snapshots._groups(
            (entry.domain_name, entry.email) for entry in users.values() if entry.allow_spoofing and entry.enabled
        ),
        led_to=snapshots._led_to(users, exact, patterns, others, delimiters),
        alternatives_of=snapshots._groups((domain, name) for name, domain in others.items()),
    )
