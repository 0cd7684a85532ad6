"""Localparts, domain names and addresses: the only place for IDNA, case and delimiter rules.

A domain name is kept in its canonical form: lower-case A-labels, no trailing dot (RFC 5890). A localpart is
kept in lower case, because this system has always compared localparts without regard to case. What comes from a
stranger is parsed here once; everything behind the border handles canonical values only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NewType

import idna

DomainName = NewType("DomainName", str)
"""A canonical domain name: lower-case A-labels without a trailing dot, at most 253 octets."""

Localpart = NewType("Localpart", str)
"""A canonical localpart: lower case, 1 to 64 octets of UTF-8, unquoted."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*\Z")
_MAX_DOMAIN_OCTETS = 253
_MAX_LOCALPART_OCTETS = 64
_MAX_SHOWN = 100


class AddressError(ValueError):
    """What was given is not a localpart, a domain name or an address; the text says why, for people."""


@dataclass(frozen=True, slots=True, order=True)
class EmailAddress:
    """One address, in canonical form. ``str()`` gives ``localpart@domain`` with A-labels."""

    localpart: Localpart
    domain: DomainName

    def __str__(self) -> str:
        return f"{self.localpart}@{self.domain}"

    @property
    def shown(self) -> str:
        """The address as people write it, with a Unicode domain."""
        return f"{self.localpart}@{unicode_domain(self.domain)}"


def parse_domain(text: str) -> DomainName:
    """Return the canonical form of a domain name given in Unicode or in A-labels.

    Raises AddressError. Underscores are let through inside labels, because such names exist in DNS.
    Source: RFC 5891 s4; UTS #46 non-transitional mapping for what people type.
    """
    name = text.strip().rstrip(".")
    if not name:
        raise AddressError("a domain name is missing")
    try:
        ascii_name = name.lower() if name.isascii() else idna.encode(name, uts46=True).decode("ascii").lower()
    except idna.IDNAError as error:
        raise AddressError(f"{_short(name)!r} is not a domain name: {_short(str(error))}") from None
    if len(ascii_name) > _MAX_DOMAIN_OCTETS:
        raise AddressError(f"the domain name {_short(name)!r} is longer than {_MAX_DOMAIN_OCTETS} octets")
    for label in ascii_name.split("."):
        if not _LABEL.match(label):
            raise AddressError(f"{_short(name)!r} is not a domain name: {_short(label)!r} cannot be a label")
        if label.startswith("xn--"):
            _decode_label(label)
    return DomainName(ascii_name)


def _decode_label(label: str) -> str:
    try:
        return idna.ulabel(label)
    except (idna.IDNAError, UnicodeError) as error:
        raise AddressError(f"{_short(label)!r} is not an internationalised label: {_short(str(error))}") from None


def unicode_domain(domain: DomainName) -> str:
    """Return *domain* as people write it; a label that does not decode stays as it is."""
    if "xn--" not in domain:
        return domain
    try:
        return idna.decode(domain)
    except (idna.IDNAError, UnicodeError):
        return domain


def parse_localpart(text: str) -> Localpart:
    """Return the canonical form of a localpart: a dot-atom of at most 64 octets, in lower case.

    Quotes are taken off where the quoted text is a dot-atom, since both forms name the same mailbox
    (RFC 5321 s4.1.2). Raises AddressError for anything else: a localpart with blanks, ``@`` or quotes is refused.
    """
    local = text[1:-1] if len(text) > 2 and text[0] == text[-1] == '"' else text
    if not local:
        raise AddressError("the part before the @ is missing")
    try:
        octets = len(local.encode())
    except UnicodeEncodeError:
        raise AddressError("the part before the @ is not text") from None
    if octets > _MAX_LOCALPART_OCTETS:
        raise AddressError(f"the part before the @ is longer than {_MAX_LOCALPART_OCTETS} octets")
    # What cannot be seen (turned writing direction, blanks of no width, line ends of Unicode) is there to deceive.
    if not _DOT_ATOM.match(local) or not local.isprintable():
        raise AddressError(
            f"{_short(local)!r} cannot stand before the @: letters, digits and !#$%&'*+-/=?^_`{{|}}~ are allowed, "
            "and single dots between them"
        )
    return Localpart(local.lower())


def parse_address(text: str) -> EmailAddress:
    """Return the address in *text*, which holds exactly one ``@``. Raises AddressError with the reason."""
    stripped = text.strip()
    localpart, at, domain = stripped.rpartition("@")
    if not at:
        raise AddressError(f"{_short(stripped)!r} is not an address: the @ is missing")
    if "@" in localpart:
        raise AddressError(f"{_short(stripped)!r} is not an address: there is more than one @")
    return EmailAddress(parse_localpart(localpart), parse_domain(domain))


def address_or_none(text: str) -> EmailAddress | None:
    """The address in *text*; None where it is none."""
    try:
        return parse_address(text)
    except AddressError:
        return None


def split_detail(localpart: str, delimiters: str) -> tuple[str, str]:
    """Split *localpart* at its first delimiter: ``("ann", "+news")`` for ``ann+news``.

    *delimiters* is a set of characters, each of which starts the detail. The detail keeps its delimiter and is
    empty where there is none; a localpart that begins with a delimiter has no detail, as in Postfix.
    """
    for index, character in enumerate(localpart):
        if index and character in delimiters:
            return localpart[:index], localpart[index:]
    return localpart, ""


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
