"""Mailboxes and the people who own them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any, TypedDict, Unpack

from sqlalchemy import update
from sqlalchemy.orm import Session

from mailu.directory.changes import values
from mailu.directory.changes.errors import Invalid
from mailu.directory.changes.journal import SYSTEM, Actor, note
from mailu.directory.changes.names import domain_of, get_domain, get_user, require_free_address, require_room
from mailu.directory.changes.retiring import DEFAULT_RETENTION_DAYS, fresh_home, retire
from mailu.directory.models import ALWAYS, DEFAULT_QUOTA_BYTES, Domain, Retired, User


class UserFields(TypedDict, total=False):
    """What can be set of a user; see ``models.User``."""

    comment: str
    displayed_name: str
    enabled: bool
    global_admin: bool
    enable_imap: bool
    enable_pop: bool
    allow_spoofing: bool
    change_pw_next_login: bool
    quota_bytes: int
    forward_enabled: bool
    forward_destination: str | list[str] | tuple[str, ...]
    forward_keep: bool
    reply_enabled: bool
    reply_subject: str | None
    reply_body: str | None
    reply_startdate: date
    reply_enddate: date
    spam_enabled: bool
    spam_mark_as_read: bool
    spam_threshold: int
    message_ratelimit: str | None
    mail_rules: Any


RULES: Mapping[str, values.Rule] = {
    "comment": values.text(255),
    "displayed_name": values.text(160),
    "enabled": values.flag,
    "global_admin": values.flag,
    "enable_imap": values.flag,
    "enable_pop": values.flag,
    "allow_spoofing": values.flag,
    "change_pw_next_login": values.flag,
    "quota_bytes": values.size,
    "forward_enabled": values.flag,
    "forward_destination": values.addresses,
    "forward_keep": values.flag,
    "reply_enabled": values.flag,
    "reply_subject": values.optional(values.text(255)),
    "reply_body": values.reply_text,
    "reply_startdate": values.day,
    "reply_enddate": values.day,
    "spam_enabled": values.flag,
    "spam_mark_as_read": values.flag,
    "spam_threshold": values.number(0, 100),
    "message_ratelimit": values.optional(values.rate),
    "mail_rules": values.mail_rules,
}


def create_user(
    session: Session,
    email: str,
    *,
    password_hash: str,
    actor: Actor,
    enforce_limits: bool = True,
    **fields: Unpack[UserFields],
) -> User:
    """Add a mailbox in an existing domain.

    Without a quota it gets the usual one, or the domain's ceiling where that is lower. *enforce_limits* false, as for
    imports, skips the domain's ceilings. Raises NotFound (the domain), Invalid, Conflict, LimitReached.
    """
    parsed = values.address("email", email)
    domain = domain_of(session, parsed)
    require_free_address(session, str(parsed))
    if enforce_limits:
        require_room(session, domain, "max_users")
    user = User(email=str(parsed), localpart=parsed.localpart, domain_name=domain.name)
    user.password = values.password_hash("password", password_hash)
    _set_defaults(user, domain)
    changed = values.apply(user, fields, RULES)
    _check_whole(user)
    if enforce_limits and "quota_bytes" in fields:
        _check_quota(user, domain)
    user.home = fresh_home(session, user.email)
    session.add(user)
    session.flush()
    note(session, actor, "user.create", user.email, {name: after for name, (_, after) in changed.items()})
    return user


def update_user(
    session: Session, email: str, *, actor: Actor, enforce_limits: bool = True, **fields: Unpack[UserFields]
) -> User:
    """Change a user. A quota above the domain's ceiling is let stay as it is, but not chosen anew.

    Raises NotFound and Invalid.
    """
    user = get_user(session, email)
    with session.no_autoflush:
        changed = values.apply(user, fields, RULES)
        try:
            _check_whole(user)
            if enforce_limits and "quota_bytes" in changed:
                _check_quota(user, get_domain(session, user.domain_name))
        except Invalid:
            _undo(user, changed)
            raise
    if changed:
        note(session, actor, "user.update", user.email, changed)
    return user


def set_password(
    session: Session, email: str, *, password_hash: str, actor: Actor, change_pw_next_login: bool = False
) -> User:
    """Give a user another password, of which the hash is ready. Raises NotFound and Invalid.

    The rule for passwords themselves is ``check_password``.
    """
    user = get_user(session, email)
    user.password = values.password_hash("password", password_hash)
    user.change_pw_next_login = change_pw_next_login
    note(session, actor, "user.password", user.email, {"change_pw_next_login": change_pw_next_login})
    return user


def upgrade_password_hash(session: Session, email: str, *, old_hash: str, new_hash: str) -> bool:
    """Put a stronger hash of the *same* password in the place of *old_hash*.

    Returns False, and changes nothing, if the password was changed in the meantime or the user is gone. It belongs
    into a ``Store.session`` as any change of what log-ins are judged by, not among the bookkeeping.
    """
    checked = values.password_hash("password", new_hash)
    statement = update(User).where(User.email == email, User.password == old_hash).values(password=checked)
    if session.execute(statement).rowcount != 1:  # type: ignore[attr-defined]
        return False
    note(session, SYSTEM, "user.rehash", email)
    return True


def delete_user(session: Session, email: str, *, actor: Actor, retention_days: int = DEFAULT_RETENTION_DAYS) -> Retired:
    """Delete a user; the mail stays for *retention_days* and can be had back by ``restore_user``. Raises NotFound."""
    return retire(session, get_user(session, email), actor=actor, retention_days=retention_days)


def _set_defaults(user: User, domain: Domain) -> None:
    """Columns get their defaults only when written, but rules that look at several need them now."""
    user.quota_bytes = min(DEFAULT_QUOTA_BYTES, domain.max_quota_bytes or DEFAULT_QUOTA_BYTES)
    user.forward_enabled, user.forward_destination = False, ()
    user.reply_startdate, user.reply_enddate = ALWAYS


def check_forward(enabled: bool, destination: Collection[str]) -> None:
    """Raise Invalid for a forward that goes nowhere."""
    if enabled and not destination:
        raise Invalid("forward_destination", "a forward needs at least one address to go to")


def check_reply_dates(first: date, last: date) -> None:
    """Raise Invalid where the last day of an automatic reply comes before the first."""
    if first > last:
        raise Invalid("reply_enddate", "the last day comes before the first")


def _check_whole(user: User) -> None:
    check_forward(user.forward_enabled, user.forward_destination)
    check_reply_dates(user.reply_startdate, user.reply_enddate)


def _check_quota(user: User, domain: Domain) -> None:
    ceiling = domain.max_quota_bytes
    if ceiling and not 0 < user.quota_bytes <= ceiling:
        raise Invalid("quota_bytes", f"{domain.name} allows at most {ceiling} bytes a mailbox")


def _undo(user: User, changed: Mapping[str, list[Any]]) -> None:
    for name, (before, _) in changed.items():
        setattr(user, name, before)
