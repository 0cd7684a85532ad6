"""The tables: what is stored of domains, people and addresses, column by column.

Table and column names are those that Mailu databases have always had; ``home``, ``last_login``,
``message_ratelimit``, ``retired``, ``audit`` and ``version`` came with this program. Rules about values live in
``changes``. Names of domains and addresses are stored in canonical form (``mailu.address``), so the database compares
octets: the migrations, which make the tables, tell MariaDB to (``utf8mb4_bin``), SQLite and PostgreSQL do so by
themselves. Saying it here too would load MariaDB's dialect everywhere.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from mailu.directory.columns import CommaList, Moment

NAMING = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "ix": "%(table_name)s_%(column_0_name)s_idx",
    "uq": "%(table_name)s_%(column_0_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}

ALWAYS = (date(1900, 1, 1), date(2999, 12, 31))
"""First and last day of an automatic reply that has no dates set."""

DEFAULT_QUOTA_BYTES = 1_000_000_000
DEFAULT_SPAM_THRESHOLD = 80

_DOMAIN = String(253)
_EMAIL = String(255)
_HOME = String(320)
_ID = BigInteger().with_variant(Integer, "sqlite")


def today() -> date:
    """The day it is in UTC."""
    return datetime.now(UTC).date()


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class Dated:
    """Columns that every described thing has. ``updated_at`` stays empty until the first change."""

    created_at: Mapped[date] = mapped_column(default=today)
    updated_at: Mapped[date | None] = mapped_column(onupdate=today)
    comment: Mapped[str] = mapped_column(String(255), default="")


class Domain(Dated, Base):
    """A domain whose mail is kept here. Its DKIM keys are files, not rows."""

    __tablename__ = "domain"

    name: Mapped[str] = mapped_column(_DOMAIN, primary_key=True)
    max_users: Mapped[int] = mapped_column(default=-1)
    """-1: no limit."""
    max_aliases: Mapped[int] = mapped_column(default=-1)
    """-1: no limit."""
    max_quota_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    """Ceiling for each mailbox, not for the domain; 0: none."""
    signup_enabled: Mapped[bool] = mapped_column(default=False)
    anonmail_enabled: Mapped[bool] = mapped_column(default=False)
    mta_sts: Mapped[str] = mapped_column(String(8), default="off")
    """The policy that is published (RFC 8461): off, testing, enforce; none takes one back (s8.3)."""
    relayhost: Mapped[str | None] = mapped_column(String(255))
    """The smart host for what is sent by this domain, as ``relay_target`` writes a host; NULL: as for all others."""
    relayuser: Mapped[str | None] = mapped_column(String(255))
    relaypassword: Mapped[str | None] = mapped_column(String(255))
    """As it is: the smart host wants it."""


class Alternative(Dated, Base):
    """Another name for a domain: every localpart of the domain works there too."""

    __tablename__ = "alternative"
    __table_args__ = (Index("alternative_domain_name_idx", "domain_name"),)

    name: Mapped[str] = mapped_column(_DOMAIN, primary_key=True)
    domain_name: Mapped[str] = mapped_column(_DOMAIN, ForeignKey("domain.name", ondelete="CASCADE"))


class Relay(Dated, Base):
    """A domain whose mail is accepted and passed on. ``smtp`` is read by ``relay_target``; NULL means empty."""

    __tablename__ = "relay"

    name: Mapped[str] = mapped_column(_DOMAIN, primary_key=True)
    smtp: Mapped[str | None] = mapped_column(String(255))
    recipients: Mapped[str] = mapped_column(String(8), default="ask")
    """Who is taken mail for: whom the target server says it knows (ask), *listed_recipients* (listed), all (any)."""
    listed_recipients: Mapped[tuple[str, ...]] = mapped_column(CommaList, default=(), nullable=True)
    """Localparts."""

    def shown(self) -> dict[str, Any]:
        """What programs are told of it, in the API and by the command line."""
        return {
            "name": self.name,
            "smtp": self.smtp,
            "recipients": self.recipients,
            "listed_recipients": list(self.listed_recipients),
            "comment": self.comment,
        }


class User(Dated, Base):
    """A mailbox and the person who logs in to it."""

    __tablename__ = "user"
    __table_args__ = (
        UniqueConstraint("home", name="user_home_key"),
        # One for each order in which lists are read, of all users and of one domain's: a page walks an index.
        Index("user_used_idx", "quota_bytes_used", "email"),
        Index("user_last_login_idx", "last_login", "email"),
        Index("user_created_idx", "created_at", "email"),
        Index("user_domain_email_idx", "domain_name", "email"),
        Index("user_domain_used_idx", "domain_name", "quota_bytes_used", "email"),
        Index("user_domain_last_login_idx", "domain_name", "last_login", "email"),
        Index("user_domain_created_idx", "domain_name", "created_at", "email"),
    )

    email: Mapped[str] = mapped_column(_EMAIL, primary_key=True)
    localpart: Mapped[str] = mapped_column(String(80))
    domain_name: Mapped[str] = mapped_column(_DOMAIN, ForeignKey("domain.name", ondelete="CASCADE"))
    password: Mapped[str] = mapped_column(String(255))
    """A hash, never the password."""
    quota_bytes: Mapped[int] = mapped_column(BigInteger, default=DEFAULT_QUOTA_BYTES)
    """0: no limit."""
    quota_bytes_used: Mapped[int] = mapped_column(BigInteger, default=0)
    global_admin: Mapped[bool] = mapped_column(default=False)
    enabled: Mapped[bool] = mapped_column(default=True)
    """A disabled mailbox refuses mail, and nobody logs in to it."""
    enable_imap: Mapped[bool] = mapped_column(default=True)
    enable_pop: Mapped[bool] = mapped_column(default=True)
    allow_spoofing: Mapped[bool] = mapped_column(default=False)
    """May send as any address of the own domain and its alternatives."""
    forward_enabled: Mapped[bool] = mapped_column(default=False)
    forward_destination: Mapped[tuple[str, ...]] = mapped_column(CommaList, default=())
    forward_keep: Mapped[bool] = mapped_column(default=True)
    reply_enabled: Mapped[bool] = mapped_column(default=False)
    reply_subject: Mapped[str | None] = mapped_column(String(255))
    reply_body: Mapped[str | None] = mapped_column(Text)
    reply_startdate: Mapped[date] = mapped_column(default=ALWAYS[0])
    reply_enddate: Mapped[date] = mapped_column(default=ALWAYS[1])
    """Inclusive, as the first day is."""
    displayed_name: Mapped[str] = mapped_column(String(160), default="")
    spam_enabled: Mapped[bool] = mapped_column(default=True)
    spam_mark_as_read: Mapped[bool] = mapped_column(default=True)
    spam_threshold: Mapped[int] = mapped_column(default=DEFAULT_SPAM_THRESHOLD)
    """Percent of 15 points above which a message goes to Junk."""
    change_pw_next_login: Mapped[bool] = mapped_column(default=False)
    home: Mapped[str] = mapped_column(_HOME)
    """Folder below ``mail/``. Never that of an earlier mailbox with the same address."""
    last_login: Mapped[datetime | None] = mapped_column(Moment)
    message_ratelimit: Mapped[str | None] = mapped_column(String(80))
    """What this mailbox may send, in the notation of MESSAGE_RATELIMIT; NULL: as everybody."""
    mail_rules: Mapped[str | None] = mapped_column(Text)
    """What is done with arriving mail, as ``mail_rules.written_rules`` writes it; NULL: no rules."""


class Alias(Dated, Base):
    """An address that stands for others. One with an owner is anonymous: made by and for that user."""

    __tablename__ = "alias"
    __table_args__ = (
        Index("alias_domain_email_idx", "domain_name", "email"),
        Index("alias_created_idx", "created_at", "email"),
        Index("alias_domain_created_idx", "domain_name", "created_at", "email"),
        Index("alias_owner_idx", "owner_email", "email"),
    )

    email: Mapped[str] = mapped_column(_EMAIL, primary_key=True)
    localpart: Mapped[str] = mapped_column(String(80))
    domain_name: Mapped[str] = mapped_column(_DOMAIN, ForeignKey("domain.name", ondelete="CASCADE"))
    wildcard: Mapped[bool] = mapped_column(default=False)
    """The localpart is a pattern: ``%`` stands for any run of characters, ``_`` for one."""
    destination: Mapped[tuple[str, ...]] = mapped_column(CommaList)
    disabled: Mapped[bool] = mapped_column(default=False)
    hostname: Mapped[str | None] = mapped_column(String(255))
    """The site that an anonymous alias was made for."""
    owner_email: Mapped[str | None] = mapped_column(_EMAIL, ForeignKey("user.email", ondelete="CASCADE"))


class Token(Dated, Base):
    """A password of its own for one device or program."""

    __tablename__ = "token"
    __table_args__ = (Index("token_user_email_idx", "user_email"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    user_email: Mapped[str] = mapped_column(_EMAIL, ForeignKey("user.email", ondelete="CASCADE"))
    password: Mapped[str] = mapped_column(String(255))
    """A hash of the token."""
    ip: Mapped[tuple[str, ...]] = mapped_column(CommaList, default=())
    """Networks it may be used from; empty: anywhere."""


class Fetch(Dated, Base):
    """An account elsewhere whose mail is fetched into a mailbox."""

    __tablename__ = "fetch"
    __table_args__ = (Index("fetch_user_email_idx", "user_email"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    user_email: Mapped[str] = mapped_column(_EMAIL, ForeignKey("user.email", ondelete="CASCADE"))
    protocol: Mapped[str] = mapped_column(String(4))
    """``imap`` or ``pop3``."""
    host: Mapped[str] = mapped_column(String(255))
    port: Mapped[int]
    tls: Mapped[bool] = mapped_column(default=False)
    username: Mapped[str] = mapped_column(String(255))
    password: Mapped[str] = mapped_column(String(255))
    """As it is: the other server wants it."""
    keep: Mapped[bool] = mapped_column(default=False)
    scan: Mapped[bool] = mapped_column(default=False)
    invisible: Mapped[bool] = mapped_column(default=False)
    folders: Mapped[tuple[str, ...]] = mapped_column(CommaList, default=())
    last_check: Mapped[datetime | None] = mapped_column(Moment)
    error: Mapped[str | None] = mapped_column(String(1023))


class Manager(Base):
    """A user who looks after a domain."""

    __tablename__ = "manager"
    __table_args__ = (Index("manager_user_email_idx", "user_email"),)

    domain_name: Mapped[str] = mapped_column(_DOMAIN, ForeignKey("domain.name", ondelete="CASCADE"), primary_key=True)
    user_email: Mapped[str] = mapped_column(_EMAIL, ForeignKey("user.email", ondelete="CASCADE"), primary_key=True)


class DomainAccess(Dated, Base):
    """A user's right to make anonymous aliases in a domain."""

    __tablename__ = "domain_access"
    __table_args__ = (
        UniqueConstraint("domain_name", "user_email", name="uq_domain_access_user"),
        Index("domain_access_user_email_idx", "user_email"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    domain_name: Mapped[str] = mapped_column(_DOMAIN, ForeignKey("domain.name", ondelete="CASCADE"))
    user_email: Mapped[str] = mapped_column(_EMAIL, ForeignKey("user.email", ondelete="CASCADE"))


class ListedSender(Dated, Base):
    """A sender on the list of a mailbox, of a domain (``user_email`` empty) or of the whole server (both empty)."""

    __tablename__ = "listed_sender"
    __table_args__ = (
        # The server's list has no owner, and NULLs are all different: that each sender stands there once is a rule of
        # ``changes.senders``.
        UniqueConstraint("user_email", "sender", name="listed_sender_user_key"),
        UniqueConstraint("domain_name", "sender", name="listed_sender_domain_key"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_email: Mapped[str | None] = mapped_column(_EMAIL, ForeignKey("user.email", ondelete="CASCADE"))
    domain_name: Mapped[str | None] = mapped_column(_DOMAIN, ForeignKey("domain.name", ondelete="CASCADE"))
    sender: Mapped[str] = mapped_column(_EMAIL)
    """An address, a domain with all below it, or (in the server's list) a network in CIDR notation."""
    verdict: Mapped[str] = mapped_column(String(8))
    """allow or deny."""
    created_by: Mapped[str] = mapped_column(String(255), default="")

    @property
    def owner(self) -> str:
        """Whose list it is on: an address, a domain, or empty for the server's."""
        return self.user_email or self.domain_name or ""


class TlsException(Dated, Base):
    """A destination that is sent to with less encryption than it promises or the settings ask for, for a while."""

    __tablename__ = "tls_exception"

    name: Mapped[str] = mapped_column(_DOMAIN, primary_key=True)
    """A domain, or the host of a next hop."""
    level: Mapped[str] = mapped_column(String(8))
    """A TLS level of Postfix."""
    last_day: Mapped[date]
    """In UTC; it still holds on it."""
    created_by: Mapped[str] = mapped_column(String(255), default="")


class Config(Dated, Base):
    """Small values by name."""

    __tablename__ = "config"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON, nullable=True)


class ApiToken(Dated, Base):
    """A key to the API for a program, with no more rights than it needs."""

    __tablename__ = "api_token"
    __table_args__ = (
        UniqueConstraint("digest", name="api_token_digest_key"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the token, which is random enough to need no slow hash."""
    read_only: Mapped[bool] = mapped_column(default=False)
    domains: Mapped[tuple[str, ...]] = mapped_column(CommaList, default=())
    """Domains that it is for; empty: everything."""
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    last_used: Mapped[datetime | None] = mapped_column(Moment)


class Totp(Base):
    """One-time codes as a second factor (RFC 6238); one secret for each user."""

    __tablename__ = "totp"

    user_email: Mapped[str] = mapped_column(_EMAIL, ForeignKey("user.email", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[str] = mapped_column(String(255))
    """Encrypted with a key of the control plane's."""
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)
    """Number of the 30 seconds that the last code was for: no code is good twice."""
    created_at: Mapped[date] = mapped_column(default=today)


class Passkey(Dated, Base):
    """A key in a device, as a second factor (WebAuthn)."""

    __tablename__ = "passkey"
    __table_args__ = (
        UniqueConstraint("digest", name="passkey_digest_key"),
        Index("passkey_user_email_idx", "user_email"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_email: Mapped[str] = mapped_column(_EMAIL, ForeignKey("user.email", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the credential's name."""
    credential: Mapped[str] = mapped_column(Text)
    """The credential's name, in base64url."""
    public_key: Mapped[str] = mapped_column(Text)
    """In base64url."""
    uses: Mapped[int] = mapped_column(BigInteger, default=0)
    """The device's own count, which must not go backwards."""
    last_used: Mapped[datetime | None] = mapped_column(Moment)


class RecoveryCode(Base):
    """A code for the day on which the second factor is lost; good once."""

    __tablename__ = "recovery_code"
    __table_args__ = (Index("recovery_code_user_email_idx", "user_email"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_email: Mapped[str] = mapped_column(_EMAIL, ForeignKey("user.email", ondelete="CASCADE"))


class ResetLink(Base):
    """A link, given out by an administrator, that leads to a new password once."""

    __tablename__ = "reset_link"
    __table_args__ = (Index("reset_link_user_email_idx", "user_email"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_email: Mapped[str] = mapped_column(_EMAIL, ForeignKey("user.email", ondelete="CASCADE"))
    expires_at: Mapped[datetime] = mapped_column(Moment)


class Retired(Base):
    """A deleted mailbox whose mail is still there. ``home`` stays taken until the row goes."""

    __tablename__ = "retired"
    __table_args__ = (
        UniqueConstraint("home", name="retired_home_key"),
        Index("retired_email_idx", "email"),
        Index("retired_purge_after_idx", "purge_after"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(_EMAIL)
    home: Mapped[str] = mapped_column(_HOME)
    deleted_at: Mapped[datetime] = mapped_column(Moment)
    purge_after: Mapped[date]
    """Last day on which the mailbox can be restored."""
    record: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What is needed to restore it: columns, tokens, fetched accounts, domains looked after."""


class Audit(Base):
    """Who changed what, when and from where. No secret and no hash is ever written here."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("audit_at_idx", "at"),
        Index("audit_subject_idx", "subject"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment)
    actor: Mapped[str] = mapped_column(String(255))
    origin: Mapped[str] = mapped_column(String(255))
    action: Mapped[str] = mapped_column(String(80))
    subject: Mapped[str] = mapped_column(_EMAIL)
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)


class MailCount(Base):
    """How many messages there were on one day (UTC): of one domain, or of the whole server (``domain_name`` empty)."""

    __tablename__ = "mail_count"

    domain_name: Mapped[str] = mapped_column(_DOMAIN, primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    received: Mapped[int] = mapped_column(BigInteger, default=0)
    """Put into mailboxes here, each mailbox counted."""
    sent: Mapped[int] = mapped_column(BigInteger, default=0)
    """Taken by other servers, each recipient counted."""
    refused: Mapped[int] = mapped_column(BigInteger, default=0)
    """Refused for good while it was offered."""
    junk: Mapped[int] = mapped_column(BigInteger, default=0)
    """Of what was received: filed into Junk."""


class Version(Base):
    """One row that says how often the directory was changed; a reader with an older number loads it anew."""

    __tablename__ = "version"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    changes: Mapped[int] = mapped_column(BigInteger, default=1)
    """Changes of what look-ups answer from."""
    bookkeeping: Mapped[int] = mapped_column(BigInteger, default=1)
    """Changes of used quota, last log-ins and the state of fetched accounts, which happen all the time."""


class Trail(Base):
    """What each of the last changes of ``version.changes`` touched, so that a reader need not load everything anew."""

    __tablename__ = "trail"
    __table_args__ = (Index("trail_version_idx", "version"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(8))
    """``user`` or ``alias``: the one called *name*; ``rest``: rows of other tables; ``all``: whatever there is."""
    name: Mapped[str] = mapped_column(_EMAIL, default="")
