"""What people sign on with beside the password, as it is stored: one-time codes, passkeys, recovery codes; and the
links by which an administrator lets somebody choose a new password.

Codes and links are random, so what is stored is a plain digest of them. The secret of one-time codes arrives here
encrypted (``mailu.auth.second_factor``).
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from mailu.directory.changes import Actor, NotFound, get_user, note, values
from mailu.directory.models import Passkey, RecoveryCode, ResetLink, Totp

RECOVERY_CODES = 10
STEPS_AHEAD = 2
"""The step of a code may be one before now, and that of the last code one after (mailu.auth.second_factor)."""
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""Without characters that look alike on paper."""


def has_totp(session: Session, email: str) -> bool:
    """Whether *email* signs on with one-time codes."""
    return session.get(Totp, email) is not None


def passkeys_of(session: Session, email: str) -> list[Passkey]:
    """The passkeys of *email*, the oldest first."""
    return list(session.scalars(select(Passkey).where(Passkey.user_email == email).order_by(Passkey.id)))


def has_any(session: Session, email: str) -> bool:
    """Whether *email* has a second factor."""
    return has_totp(session, email) or bool(passkeys_of(session, email))


def set_totp(session: Session, email: str, *, encrypted: str, step: int, actor: Actor) -> None:
    """Let *email* sign on with one-time codes; *step* is that of the code that proved it. Raises NotFound."""
    user = get_user(session, email)
    session.merge(Totp(user_email=user.email, secret=encrypted, last_step=step))
    note(session, actor, "second_factor.set", user.email, {"kind": "totp"})


def totp_of(session: Session, email: str) -> tuple[str, int] | None:
    """The encrypted secret and the step of the last code; None where there is none."""
    row = session.get(Totp, email)
    return (row.secret, row.last_step) if row else None


def spend_step(session: Session, email: str, step: int) -> bool:
    """Note that the code of *step* was used. False: it, or a later one, was used before.

    One that is more than STEPS_AHEAD later was noted while the clock was wrong, and is forgotten.
    """
    unused = or_(Totp.last_step < step, Totp.last_step > step + STEPS_AHEAD)
    statement = update(Totp).where(Totp.user_email == email, unused).values(last_step=step)
    return bool(session.execute(statement).rowcount)  # type: ignore[attr-defined]


def add_passkey(
    session: Session, email: str, *, credential: str, public_key: str, uses: int, comment: str, actor: Actor
) -> Passkey:
    """Add a passkey of *email*. Raises NotFound and Invalid."""
    user = get_user(session, email)
    passkey = Passkey(
        user_email=user.email, digest=_digest(credential), credential=credential, public_key=public_key, uses=uses
    )
    passkey.comment = values.text(255)("comment", comment)
    session.add(passkey)
    session.flush()
    note(session, actor, "second_factor.set", user.email, {"kind": "passkey", "comment": passkey.comment})
    return passkey


def find_passkey(session: Session, email: str, credential: str) -> Passkey | None:
    """The passkey of *email* that a browser names."""
    found = session.scalars(select(Passkey).where(Passkey.digest == _digest(credential))).first()
    return found if found is not None and found.user_email == email else None


def use_passkey(session: Session, passkey_id: int, *, uses: int, at: datetime) -> None:
    """Note that a passkey was used."""
    session.execute(update(Passkey).where(Passkey.id == passkey_id).values(uses=uses, last_used=at))


def delete_passkey(session: Session, email: str, passkey_id: int, *, actor: Actor) -> None:
    """Take a passkey away. Raises NotFound."""
    passkey = session.get(Passkey, passkey_id)
    if passkey is None or passkey.user_email != email:
        raise NotFound("passkey", passkey_id)
    session.delete(passkey)
    session.flush()
    note(session, actor, "second_factor.remove", email, {"kind": "passkey", "comment": passkey.comment})
    _tidy(session, email)


def delete_totp(session: Session, email: str, *, actor: Actor) -> None:
    """No more one-time codes for *email*."""
    if session.execute(delete(Totp).where(Totp.user_email == email)).rowcount:  # type: ignore[attr-defined]
        note(session, actor, "second_factor.remove", email, {"kind": "totp"})
    _tidy(session, email)


def delete_all(session: Session, email: str, *, actor: Actor) -> None:
    """Back to the password alone: what an administrator does for somebody who lost everything."""
    for table in (Totp, Passkey, RecoveryCode):
        session.execute(delete(table).where(table.user_email == email))
    note(session, actor, "second_factor.remove", email, {"kind": "all"})


def _tidy(session: Session, email: str) -> None:
    """Without a second factor there is nothing to recover."""
    if not has_any(session, email):
        session.execute(delete(RecoveryCode).where(RecoveryCode.user_email == email))


def new_recovery_codes(session: Session, email: str, *, actor: Actor) -> list[str]:
    """Make ten codes in place of those that there were; they cannot be had again."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_email == email))
    codes = ["-".join(_word() for _ in range(2)) for _ in range(RECOVERY_CODES)]
    session.add_all(RecoveryCode(digest=_digest(f"{email} {code}"), user_email=email) for code in codes)
    session.flush()
    note(session, actor, "second_factor.codes", email)
    return codes


def spend_recovery_code(session: Session, email: str, code: str) -> bool:
    """Use up one code of *email*. False: it is none."""
    digest = _digest(f"{email} {code.strip().lower()}")
    statement = delete(RecoveryCode).where(RecoveryCode.digest == digest, RecoveryCode.user_email == email)
    return bool(session.execute(statement).rowcount)  # type: ignore[attr-defined]


def recovery_codes_left(session: Session, email: str) -> int:
    """How many codes are left."""
    query = select(func.count()).select_from(RecoveryCode).where(RecoveryCode.user_email == email)
    return session.scalar(query) or 0


def create_reset_link(session: Session, email: str, *, expires_at: datetime, actor: Actor) -> str:
    """Make the secret part of a link; earlier ones are void. Raises NotFound."""
    user = get_user(session, email)
    session.execute(delete(ResetLink).where(ResetLink.user_email == user.email))
    secret = secrets.token_urlsafe(32)
    session.add(ResetLink(digest=_digest(secret), user_email=user.email, expires_at=expires_at))
    session.flush()
    note(session, actor, "user.reset_link", user.email, {"expires_at": expires_at})
    return secret


def find_reset_link(session: Session, secret: str, *, now: datetime) -> str | None:
    """Whose password the link is for; None for one that is void."""
    row = session.get(ResetLink, _digest(secret))
    return row.user_email if row is not None and row.expires_at > now else None


def spend_reset_link(session: Session, secret: str) -> bool:
    """Use the link up. False: somebody else just did."""
    statement = delete(ResetLink).where(ResetLink.digest == _digest(secret))
    return bool(session.execute(statement).rowcount)  # type: ignore[attr-defined]


def _word() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(6))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()
