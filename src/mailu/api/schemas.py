"""What goes in and out, field by field. The names are those that clients have used for years."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from mailu.directory.models import (
    Alias,
    Alternative,
    ApiToken,
    Audit,
    Domain,
    Fetch,
    ListedSender,
    Retired,
    TlsException,
    Token,
    User,
)

BIGINT = 2**63 - 1
COUNT = 2**31 - 1


class _Body(BaseModel):
    """A request body. Keys that it does not know are ignored, as they always were."""

    model_config = ConfigDict(extra="ignore")

    def given(self) -> dict[str, Any]:
        """Only what the client sent; a field it left out stays as it is."""
        return self.model_dump(exclude_unset=True)


class UserBody(_Body):
    """What can be said of a user."""

    comment: str = Field(default="", max_length=255)
    quota_bytes: int = Field(default=0, ge=0, le=BIGINT, description="0: no limit")
    global_admin: bool = False
    enabled: bool = True
    change_pw_next_login: bool = False
    enable_imap: bool = True
    enable_pop: bool = True
    allow_spoofing: bool = False
    forward_enabled: bool = False
    forward_destination: list[str] = Field(default_factory=list, examples=[["ann@example.com"]])
    forward_keep: bool = True
    reply_enabled: bool = False
    reply_subject: str | None = Field(default=None, max_length=255)
    reply_body: str | None = None
    reply_startdate: date = date(1900, 1, 1)
    reply_enddate: date = date(2999, 12, 31)
    displayed_name: str = Field(default="", max_length=160)
    spam_enabled: bool = True
    spam_mark_as_read: bool = True
    spam_threshold: int = Field(default=80, ge=0, le=100, description="percent of 15 points")
    message_ratelimit: str | None = Field(default=None, examples=["200/day"], description="null: as everybody")
    mail_rules: list[dict[str, Any]] | None = Field(
        default=None,
        description="what is done with arriving mail, in this order; null: nothing",
        examples=[
            [
                {
                    "name": "Lists",
                    "conditions": [{"field": "list-id", "test": "contains", "value": "announce"}],
                    "folder": "Lists",
                }
            ]
        ],
    )


class UserUpdate(UserBody):
    """Changes of a user."""

    raw_password: str | None = Field(default=None, min_length=8, max_length=4096, description="null: as it is")


class UserCreate(UserBody):
    """A new user."""

    email: str = Field(examples=["ann@example.com"])
    raw_password: str = Field(min_length=8, max_length=4096)


class DomainBody(_Body):
    """What can be said of a domain and is shown."""

    comment: str = Field(default="", max_length=255)
    max_users: int = Field(default=-1, ge=-1, le=COUNT, description="-1: no limit")
    max_aliases: int = Field(default=-1, ge=-1, le=COUNT, description="-1: no limit")
    max_quota_bytes: int = Field(default=0, ge=0, le=BIGINT, description="ceiling of each mailbox; 0: none")
    signup_enabled: bool = False
    anonmail_enabled: bool = False
    mta_sts: Literal["off", "testing", "enforce", "none"] = Field(
        default="off", description="the policy that is published (RFC 8461); none takes one back"
    )
    relayhost: str | None = Field(
        default=None, max_length=255, examples=["smtp.example.com:587"], description="smart host; tokens for all only"
    )
    relayuser: str | None = Field(default=None, max_length=255)
    alternatives: list[str] = Field(default_factory=list, examples=[["example.net"]])


class DomainUpdate(DomainBody):
    """What can be said of a domain."""

    relaypassword: str | None = Field(default=None, max_length=255, description="never shown")

    @property
    def names_smart_host(self) -> bool:
        """Whether it says something of the smart host, which is the whole server's business."""
        return not self.model_fields_set.isdisjoint({"relayhost", "relayuser", "relaypassword"})


class DomainCreate(DomainUpdate):
    """A new domain."""

    name: str = Field(examples=["example.com"])


class AlternativeCreate(_Body):
    """A new alternative name."""

    name: str = Field(examples=["example.net"])
    domain: str = Field(examples=["example.com"])


class AliasUpdate(_Body):
    """What can be said of an alias."""

    comment: str = Field(default="", max_length=255)
    destination: list[str] = Field(default_factory=list, examples=[["ann@example.com"]])
    wildcard: bool = False
    hostname: str | None = Field(default=None, max_length=255)
    disabled: bool = False


class AliasCreate(AliasUpdate):
    """A new alias."""

    email: str = Field(examples=["sales@example.com"])


class RelayUpdate(_Body):
    """What can be said of a relayed domain."""

    smtp: str | None = Field(default=None, max_length=255, examples=["mx.example.com:25"])
    recipients: Literal["ask", "listed", "any"] = Field(
        default="ask", description="for whom mail is taken: whom the target server knows, those listed, everybody"
    )
    listed_recipients: list[str] = Field(default_factory=list, examples=[["ann", "bob@example.com"]])
    comment: str = Field(default="", max_length=255)


class RelayCreate(RelayUpdate):
    """A new relayed domain."""

    name: str = Field(examples=["example.com"])


class ManagerCreate(_Body):
    """Somebody who is to look after a domain."""

    user_email: str = Field(examples=["ann@example.com"])


class TokenUpdate(_Body):
    """What can be said of an app token."""

    comment: str = Field(default="", max_length=255)
    AuthorizedIP: list[str] = Field(default_factory=list, examples=[["192.0.2.0/24"]])

    def fields(self) -> dict[str, Any]:
        """What the client sent, under the names of the directory."""
        names = {"comment": "comment", "AuthorizedIP": "ip"}
        return {names[name]: value for name, value in self.given().items() if name in names}


class TokenCreate(TokenUpdate):
    """A new app token."""

    email: str = Field(examples=["ann@example.com"])


class OwnAliasUpdate(_Body):
    """What people may change of their anonymous aliases."""

    comment: str = Field(default="", max_length=255)
    disabled: bool = False


class RandomAlias(_Body):
    """A wish for a new anonymous alias."""

    note: str | None = Field(default=None, max_length=255)


class GrantCreate(_Body):
    """Somebody who is to make anonymous aliases in a domain."""

    user_email: str = Field(examples=["ann@example.com"])
    comment: str = Field(default="", max_length=255)


class FetchBody(_Body):
    """What can be said of a fetched account and is shown."""

    protocol: Literal["imap", "pop3"] = "imap"
    host: str = Field(default="", max_length=255, examples=["imap.example.com"])
    port: int = Field(default=993, ge=0, le=65535)
    tls: bool = False
    username: str = Field(default="", max_length=255)
    keep: bool = Field(default=False, description="leave the mail at the other server")
    scan: bool = Field(default=False, description="look for spam and viruses")
    invisible: bool = Field(default=False, description="leave no trace in the header of what was fetched")
    folders: list[str] = Field(default_factory=list, examples=[["INBOX", "Junk"]])
    comment: str = Field(default="", max_length=255)


class FetchUpdate(FetchBody):
    """What can be said of a fetched account."""

    password: str = Field(default="", max_length=255, description="never shown")


class FetchCreate(FetchUpdate):
    """A new fetched account."""

    email: str = Field(examples=["ann@example.com"])


class SenderUpdate(_Body):
    """What can be said of a listed sender."""

    verdict: Literal["allow", "deny"] = "deny"
    comment: str = Field(default="", max_length=255)


class SenderCreate(SenderUpdate):
    """A sender for a list."""

    owner: str = Field(default="", description="whose list: an address, a domain; empty: the server's")
    sender: str = Field(max_length=255, examples=["pest@example.org"], description="an address, a domain, a network")


class TlsExceptionUpdate(_Body):
    """What can be said of an exception from encryption."""

    level: Literal["none", "may", "encrypt"] = Field(default="may", description="what is enough, in Postfix's words")
    last_day: date | None = Field(default=None, description="in UTC, at most 90 days from now; null: as it is")
    comment: str = Field(default="", max_length=255, description="why; needed for a new one")

    def given(self) -> dict[str, Any]:
        """What the client sent; null says nothing."""
        return {name: value for name, value in super().given().items() if value is not None}


class TlsExceptionCreate(TlsExceptionUpdate):
    """A new exception from encryption."""

    name: str = Field(examples=["example.com"], description="a domain that mail is sent to, or a host")


class DkimCreate(_Body):
    """A new DKIM key."""

    selector: str | None = Field(default=None, max_length=63, description="a new one; none: the one that signs now")
    algorithm: Literal["rsa", "ed25519"] = "rsa"


class DkimUpdate(_Body):
    """What becomes of a DKIM key."""

    state: Literal["active", "pending", "retired"]


class ApiTokenCreate(_Body):
    """A new key to this API."""

    comment: str = Field(default="", max_length=255)
    domains: list[str] = Field(default_factory=list, examples=[["example.com"]], description="none: everything")
    read_only: bool = False
    expires_at: AwareDatetime | None = None


_USER_COLUMNS = (
    "email", "comment", "quota_bytes", "quota_bytes_used", "global_admin", "enabled", "change_pw_next_login",
    "enable_imap", "enable_pop", "allow_spoofing", "forward_enabled", "forward_destination", "forward_keep",
    "reply_enabled", "reply_subject", "reply_body", "reply_startdate", "reply_enddate", "displayed_name",
    "spam_enabled", "spam_mark_as_read", "spam_threshold", "message_ratelimit", "last_login",
)  # fmt: skip


def user_object(user: User) -> dict[str, Any]:
    """A user as clients see them. The hash of the password never leaves the server: the field is null."""
    shown = {name: _plain(getattr(user, name)) for name in _USER_COLUMNS}
    shown["mail_rules"] = json.loads(user.mail_rules) if user.mail_rules else None
    return {"email": shown.pop("email"), "password": None, **shown}


def domain_object(domain: Domain, alternatives: Iterable[str], *, smart_host: bool) -> dict[str, Any]:
    """A domain without its DNS records and managers; its *smart_host* is for those who look after the server."""
    columns = (
        "comment",
        "max_users",
        "max_aliases",
        "max_quota_bytes",
        "signup_enabled",
        "anonmail_enabled",
        "mta_sts",
        *(("relayhost", "relayuser") if smart_host else ()),
    )
    values = {name: getattr(domain, name) for name in columns}
    return {"name": domain.name, **values, "alternatives": sorted(alternatives)}


def alternative_object(alternative: Alternative) -> dict[str, Any]:
    """An alternative name."""
    return {"name": alternative.name, "domain": alternative.domain_name}


def alias_object(alias: Alias) -> dict[str, Any]:
    """An alias."""
    columns = ("email", "destination", "comment", "wildcard", "hostname", "owner_email", "disabled", "created_at")
    return {name: _plain(getattr(alias, name)) for name in columns}


def token_object(token: Token) -> dict[str, Any]:
    """An app token without its secret."""
    return {
        "id": token.id,
        "email": token.user_email,
        "comment": token.comment,
        "AuthorizedIP": list(token.ip),
        "Created": str(token.created_at),
        "Last edit": str(token.updated_at),
    }


def token_in_list(token: Token) -> dict[str, Any]:
    """The same in a list, where what is not there is left out."""
    shown = token_object(token)
    if token.updated_at is None:
        del shown["Last edit"]
    return shown


def fetch_object(fetch: Fetch) -> dict[str, Any]:
    """A fetched account without its password."""
    columns = (
        "id", "comment", "protocol", "host", "port", "tls", "username", "keep", "scan", "invisible", "folders",
        "last_check", "error",
    )  # fmt: skip
    return {"email": fetch.user_email, **{name: _plain(getattr(fetch, name)) for name in columns}}


def sender_object(entry: ListedSender) -> dict[str, Any]:
    """A listed sender."""
    columns = ("id", "owner", "sender", "verdict", "comment", "created_by", "created_at", "updated_at")
    return {name: _plain(getattr(entry, name)) for name in columns}


def tls_exception_object(entry: TlsException) -> dict[str, Any]:
    """An exception from encryption."""
    columns = ("name", "level", "last_day", "comment", "created_by", "created_at", "updated_at")
    return {name: _plain(getattr(entry, name)) for name in columns}


def api_token_object(token: ApiToken) -> dict[str, Any]:
    """A key to this API without its secret."""
    columns = ("id", "comment", "domains", "read_only", "expires_at", "last_used", "created_at")
    return {name: _plain(getattr(token, name)) for name in columns}


def audit_object(row: Audit) -> dict[str, Any]:
    """A row of the audit trail."""
    return {name: _plain(getattr(row, name)) for name in ("id", "at", "actor", "origin", "action", "subject", "detail")}


def retired_object(row: Retired) -> dict[str, Any]:
    """A deleted mailbox. What is kept to restore it, hashes among it, stays here."""
    return {name: _plain(getattr(row, name)) for name in ("id", "email", "deleted_at", "purge_after")}


def in_list(item: Mapping[str, Any]) -> dict[str, Any]:
    """The same object as it stands in a list: null fields are left out."""
    return {name: value for name, value in item.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value
