"""By what each list can be sorted, searched and filtered."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import InstrumentedAttribute

from mailu.api.plain_lists import PlainListing
from mailu.directory.listing import Listing
from mailu.directory.models import (
    Alias,
    Alternative,
    ApiToken,
    Audit,
    Domain,
    DomainAccess,
    Fetch,
    ListedSender,
    Relay,
    Retired,
    TlsException,
    Token,
    User,
)


def _columns(*columns: InstrumentedAttribute[Any], **renamed: InstrumentedAttribute[Any]) -> dict[str, Any]:
    """Columns under the names that objects have here."""
    return {column.key: column for column in columns} | renamed


USERS: Listing[User] = Listing(
    key=User.email,
    sorts=_columns(User.email, User.quota_bytes_used, User.last_login, User.created_at),
    searched=(User.email, User.displayed_name, User.comment),
    filters=_columns(
        User.enabled, User.global_admin, User.enable_imap, User.enable_pop, User.allow_spoofing, User.forward_enabled,
        User.reply_enabled, User.spam_enabled, User.change_pw_next_login, User.quota_bytes, User.last_login,
        User.message_ratelimit, domain=User.domain_name,
    ),
)  # fmt: skip
DOMAINS: Listing[Domain] = Listing(
    key=Domain.name,
    sorts=_columns(Domain.name, Domain.created_at),
    searched=(Domain.name, Domain.comment),
    filters=_columns(Domain.signup_enabled, Domain.anonmail_enabled, Domain.mta_sts, Domain.max_users),
)
ALTERNATIVES: Listing[Alternative] = Listing(
    key=Alternative.name,
    sorts=_columns(Alternative.name),
    searched=(Alternative.name,),
    filters=_columns(domain=Alternative.domain_name),
)
ALIASES: Listing[Alias] = Listing(
    key=Alias.email,
    sorts=_columns(Alias.email, Alias.created_at),
    searched=(Alias.email, Alias.comment, Alias.hostname),
    filters=_columns(Alias.wildcard, Alias.disabled, Alias.owner_email, Alias.hostname, domain=Alias.domain_name),
)
RELAYS: Listing[Relay] = Listing(
    key=Relay.name,
    sorts=_columns(Relay.name, Relay.created_at),
    searched=(Relay.name, Relay.comment, Relay.smtp),
    filters=_columns(Relay.smtp, Relay.recipients),
)
TOKENS: Listing[Token] = Listing(
    key=Token.id,
    sorts=_columns(Token.id, email=Token.user_email),
    searched=(Token.user_email, Token.comment),
    filters=_columns(email=Token.user_email),
)
FETCHES: Listing[Fetch] = Listing(
    key=Fetch.id,
    sorts=_columns(Fetch.id, Fetch.last_check, email=Fetch.user_email),
    searched=(Fetch.user_email, Fetch.host, Fetch.comment),
    filters=_columns(Fetch.protocol, Fetch.host, Fetch.tls, Fetch.keep, Fetch.error, email=Fetch.user_email),
)
GRANTS: Listing[DomainAccess] = Listing(
    key=DomainAccess.user_email,
    sorts=_columns(DomainAccess.user_email),
    searched=(DomainAccess.user_email, DomainAccess.comment),
)
API_TOKENS: Listing[ApiToken] = Listing(
    key=ApiToken.id,
    sorts=_columns(ApiToken.id, ApiToken.last_used, ApiToken.expires_at),
    searched=(ApiToken.comment,),
    filters=_columns(ApiToken.read_only, ApiToken.last_used, ApiToken.expires_at),
)
AUDIT: Listing[Audit] = Listing(
    key=Audit.id,
    sorts=_columns(Audit.id),
    searched=(Audit.actor, Audit.action, Audit.subject),
    filters=_columns(Audit.actor, Audit.origin, Audit.action, Audit.subject),
)
SENDERS: Listing[ListedSender] = Listing(
    key=ListedSender.id,
    sorts=_columns(ListedSender.id, ListedSender.sender),
    searched=(ListedSender.sender, ListedSender.comment),
    filters=_columns(ListedSender.sender, ListedSender.verdict),
)
TLS_EXCEPTIONS: Listing[TlsException] = Listing(
    key=TlsException.name,
    sorts=_columns(TlsException.name, TlsException.last_day),
    searched=(TlsException.name, TlsException.comment),
    filters=_columns(TlsException.level),
)
RETIRED: Listing[Retired] = Listing(
    key=Retired.id,
    sorts=_columns(Retired.id, Retired.email, Retired.purge_after),
    searched=(Retired.email,),
    filters=_columns(Retired.email),
)

# What is not in the database.

QUEUE = PlainListing(
    key=lambda message: str(message["id"]),
    sorts=("arrived", "size", "sender"),
    searched=("id", "sender", "recipients"),
    filters=("state", "sender"),
)
LIMITS = PlainListing(
    key=lambda limit: str(limit["key"]),
    sorts=("count", "retry_after_seconds", "account", "origin"),
    searched=("account", "origin"),
    filters=("kind", "account", "origin"),
)
SESSIONS = PlainListing(
    key=lambda session: str(session["handle"]),
    sorts=("created", "last_seen"),
    searched=("client_ip", "user_agent"),
    filters=("client_ip",),
)
DKIM_KEYS = PlainListing(
    key=lambda key: str(key["selector"]), sorts=("selector",), searched=("selector",), filters=("algorithm", "state")
)
DNS_RECORDS = PlainListing(
    key=lambda record: f"{record['record']} {record['type']} {record['value']}",
    sorts=("record", "type", "purpose"),
    searched=("record", "value"),
    filters=("type", "purpose"),
)
DNS_STATUS = PlainListing(
    key=lambda found: f"{found['name']} {found['type']}",
    sorts=("name", "type", "verdict"),
    searched=("name",),
    filters=("type", "purpose", "verdict"),
)
