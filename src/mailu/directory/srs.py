"""The Sender Rewriting Scheme: envelope senders of other domains, rewritten so that forwarded mail passes SPF.

``SRS0=HHHH=TT=host=localpart@ours`` stands for ``localpart@host``; ``SRS1=HHHH=host=opaque@ours`` for an address that
*host* had rewritten before us, so that what comes back need not travel through every forwarder. HHHH is the beginning
of a keyed hash over the rest, TT the day, modulo 1024, in base 32. Everything after ``@`` and the hash are compared
without regard to case, because mail servers on the way may change it.

Pure functions of texts: the localparts of such addresses may be longer than 64 octets and keep the case that the
sender wrote. Source: M. Wong, S. Gonzalez, "Sender Rewriting Scheme" (the Guarded scheme); libsrs2.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from datetime import date

from mailu.address import EmailAddress

VALIDITY_DAYS = 21
"""How long an address that was handed out leads back. Bounces come within the five days that mail is retried."""

_HASH_CHARACTERS = 4
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CYCLE_DAYS = len(_ALPHABET) ** 2
_EPOCH = date(1970, 1, 1)

_SRS0 = re.compile(r"SRS0[-+=]([^=]+)=([^=]{2})=([^=]+)=(.+)\Z", re.IGNORECASE | re.DOTALL)
_SRS0_OPAQUE = re.compile(r"SRS0([-+=].+)\Z", re.IGNORECASE | re.DOTALL)
_SRS1 = re.compile(r"SRS1[-+=]([^=]+)=([^=]+)=([-+=].+)\Z", re.IGNORECASE | re.DOTALL)


def is_srs(address: str) -> bool:
    """Whether *address* looks rewritten, by us or by somebody else."""
    return re.match(r"SRS[01][-+=]", address, re.IGNORECASE) is not None


def forward(address: EmailAddress | str, key: bytes | str, domain: str, today: date) -> str:
    """Rewrite the envelope sender *address* to one of *domain*. Give the text as it came, if its case matters.

    Which senders need it is not decided here: not the null sender, not those of domains that are hosted here.
    Raises ValueError if *address* has no ``@``.
    """
    localpart, at, host = str(address).rpartition("@")
    if not at or not localpart or not host:
        raise ValueError(f"{str(address)[:100]!r} is not an address")
    if chained := _SRS1.match(localpart):
        return _srs1(chained[2], chained[3], key, domain)
    if rewritten := _SRS0_OPAQUE.match(localpart):
        return _srs1(host, rewritten[1], key, domain)
    stamp = _stamp(today)
    return f"SRS0={_hash(key, stamp + host + localpart)}={stamp}={host}={localpart}@{domain}"


def reverse(address: str, keys: Sequence[bytes | str], today: date) -> str | None:
    """Return the address that *address*, in SRS form, stands for.

    *keys* are the key in use and those that were in use before. None if the address does not lead back: it is not in
    SRS form, its hash is forged, or it is older than VALIDITY_DAYS (the day of an SRS1 address is inside its opaque
    part, and the first forwarder's to check). Then it is the address of nobody.
    """
    localpart = address.rpartition("@")[0]
    if chained := _SRS1.match(localpart):
        return f"SRS0{chained[3]}@{chained[2]}" if _verifies(keys, chained[1], chained[2] + chained[3]) else None
    if rewritten := _SRS0.match(localpart):
        given, stamp, host, original = rewritten.groups()
        if _verifies(keys, given, stamp + host + original) and _is_fresh(stamp, today):
            return f"{original}@{host}"
    return None


def _srs1(host: str, opaque: str, key: bytes | str, domain: str) -> str:
    return f"SRS1={_hash(key, host + opaque)}={host}={opaque}@{domain}"


def _hash(key: bytes | str, text: str) -> str:
    secret = key.encode() if isinstance(key, str) else key
    digest = hmac.digest(secret, text.lower().encode(errors="surrogateescape"), "sha1")
    return base64.b64encode(digest)[:_HASH_CHARACTERS].decode()


def _verifies(keys: Sequence[bytes | str], given: str, text: str) -> bool:
    """A hash shorter than ours is refused: the one who writes it could guess it, down to a single character."""
    shown = given.lower().encode(errors="surrogateescape")
    return any(hmac.compare_digest(shown, _hash(key, text).lower().encode()) for key in keys)


def _stamp(day: date) -> str:
    number = (day - _EPOCH).days % _CYCLE_DAYS
    return _ALPHABET[number // len(_ALPHABET)] + _ALPHABET[number % len(_ALPHABET)]


def _is_fresh(stamp: str, today: date) -> bool:
    high, low = (_ALPHABET.find(character) for character in stamp.upper())
    if high < 0 or low < 0:
        return False
    age_days = ((today - _EPOCH).days - (high * len(_ALPHABET) + low)) % _CYCLE_DAYS
    # A day that is yet to come was written while a clock was ahead; the hash says that it was ours.
    return age_days <= VALIDITY_DAYS or age_days >= _CYCLE_DAYS - VALIDITY_DAYS
