"""What answers look like, for the published description. ``schemas.py`` makes them; a test compares the two.

In lists, fields that are null are left out, so only what is always there is required.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field, create_model
from typing_extensions import TypedDict

from mailu.api.schemas import (
    AliasUpdate,
    AlternativeCreate,
    ApiTokenCreate,
    DomainBody,
    FetchBody,
    GrantCreate,
    RelayCreate,
    SenderCreate,
    TlsExceptionCreate,
    TokenUpdate,
    UserBody,
)


class Done(TypedDict):
    """A write that succeeded."""

    code: int
    message: str


class UserObject(UserBody):
    """A user."""

    email: str
    password: None = Field(default=None, description="never shown")
    quota_bytes_used: int = 0
    last_login: datetime | None = None


class DomainObject(DomainBody):
    """A domain, its managers, and the lines of DNS that it needs."""

    name: str
    managers: list[str] = Field(default_factory=list)
    dns_autoconfig: list[str] = Field(default_factory=list)
    dns_mx: str | None = None
    dns_spf: str | None = None
    dns_dkim: str | None = None
    dns_dmarc: str | None = None
    dns_dmarc_report: str | None = None
    dns_tlsa: list[str] | None = None


class Managers(BaseModel):
    """Who looks after a domain."""

    managers: list[str]


class AlternativeObject(AlternativeCreate):
    """An alternative name."""


class GrantObject(GrantCreate):
    """Somebody who may make anonymous aliases in a domain."""


class AliasObject(AliasUpdate):
    """An alias."""

    email: str
    owner_email: str | None = None
    created_at: date


class RelayObject(RelayCreate):
    """A relayed domain."""


class TokenObject(TokenUpdate):
    """An app token."""

    id: int | str = Field(description="a text in the list of all tokens")
    email: str
    created: str = Field(alias="Created")
    last_edit: str | None = Field(default=None, alias="Last edit")


class NewToken(TokenObject):
    """An app token with its secret."""

    token: str


class FetchObject(FetchBody):
    """A fetched account."""

    id: int
    email: str
    last_check: datetime | None = None
    error: str | None = None


class SenderObject(SenderCreate):
    """A listed sender."""

    id: int
    created_by: str = ""
    created_at: date
    updated_at: date | None = None


class TlsExceptionObject(TlsExceptionCreate):
    """An exception from encryption."""

    last_day: date
    created_by: str = ""
    created_at: date
    updated_at: date | None = None


class ApiTokenObject(ApiTokenCreate):
    """A key to this API."""

    id: int
    expires_at: datetime | None = None
    last_used: datetime | None = None
    created_at: date


class NewApiToken(ApiTokenObject):
    """A key to this API with its secret."""

    token: str


class AuditRow(BaseModel):
    """Who, from where, did what."""

    id: int
    at: datetime
    actor: str
    origin: str
    action: str
    subject: str
    detail: dict[str, Any]


class RetiredObject(BaseModel):
    """A deleted mailbox whose mail is still there."""

    id: int
    email: str
    deleted_at: datetime
    purge_after: date


class QueueRecipient(BaseModel):
    """Somebody whom a message could not be brought to yet."""

    address: str
    reason: str


class QueueMessage(BaseModel):
    """A message that waits."""

    id: str
    state: str
    arrived: int = Field(description="seconds since the epoch")
    size: int = Field(description="bytes")
    sender: str
    recipients: list[QueueRecipient]
    more: int = Field(description="recipients that are not shown")


class DnsRecord(BaseModel):
    """A record of DNS that is needed."""

    record: str
    type: str
    ttl: int = Field(description="seconds")
    value: str
    purpose: str


class DkimKey(BaseModel):
    """A DKIM key without its secret part."""

    selector: str
    algorithm: str
    state: str
    record: str
    value: str


_UNLESS_IT_HAS_A_SELECTOR: dict[str, Any] = {
    name: (field.annotation | None, None) for name, field in DkimKey.model_fields.items() if field.annotation
}
NewDkimKey = create_model(
    "NewDkimKey",
    __doc__="A key that was made; what it is where it has a selector of its own.",
    code=(int, ...),
    message=(str, ...),
    **_UNLESS_IT_HAS_A_SELECTOR,
)


class SimpleLoginAlias(BaseModel):
    """An alias as SimpleLogin shows it."""

    email: str
    enabled: bool
    note: str | None
    creation_date: str
    creation_timestamp: int
    nb_forward: int
    nb_block: int
    nb_reply: int
