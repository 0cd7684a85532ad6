"""Rules about single values. Each function takes the field's name and what was given, and returns what is stored."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Mapping
from datetime import date
from ipaddress import ip_network
from typing import Any

from mailu.address import AddressError, DomainName, EmailAddress, parse_address, parse_domain, parse_localpart
from mailu.directory.changes.errors import Invalid
from mailu.directory.mail_rules import BadRule, checked_rules
from mailu.directory.relay_target import BadRelayTarget, parse_relay_target

Rule = Callable[[str, Any], Any]

MAX_EMAIL_CHARACTERS = 255
MAX_DESTINATIONS = 1000
MAX_LIST_OCTETS = 60_000
"""Room for the column (65,535 octets in MariaDB) and for one socketmap answer (100,000 octets in Postfix)."""
REPLY_OCTETS = 5_000
"""The text of an automatic reply on its way to Sieve. Dovecot reads an answer of 8,192 octets about a mailbox, in which
the subject, the name and the rest need their room (daemons/dovecot/templates/directory.lua)."""

_MAX_BYTES = 2**63 - 1
_MAX_COUNT = 2**31 - 1
_RATE = re.compile(r"\d{1,9} ?(/|per) ?(\d{1,5} ?)?(second|minute|hour|day|month|year)s?\Z", re.IGNORECASE)


def address(field: str, value: str) -> EmailAddress:
    """One address in canonical form, short enough to be stored."""
    if not isinstance(value, str):
        raise Invalid(field, "an address is a text")
    try:
        parsed = parse_address(value)
    except AddressError as error:
        raise Invalid(field, str(error)) from None
    if len(str(parsed)) > MAX_EMAIL_CHARACTERS:
        raise Invalid(field, f"an address has at most {MAX_EMAIL_CHARACTERS} characters")
    return parsed


def domain_name(field: str, value: str) -> DomainName:
    """One domain name in canonical form."""
    if not isinstance(value, str):
        raise Invalid(field, "a domain name is a text")
    try:
        return parse_domain(value)
    except AddressError as error:
        raise Invalid(field, str(error)) from None


def addresses(field: str, value: str | Collection[str]) -> tuple[str, ...]:
    """Addresses as a list, or as one text with commas: sorted, each once."""
    items = _items(field, value)
    found = sorted({str(address(field, item)) for item in items})
    if len(found) > MAX_DESTINATIONS:
        raise Invalid(field, f"at most {MAX_DESTINATIONS} addresses, these are {len(found)}")
    return _within_limit(field, found)


def localparts(field: str, value: str | Collection[str]) -> tuple[str, ...]:
    """Localparts as a list, or as one text with commas: canonical, sorted, each once."""
    try:
        return _within_limit(field, sorted({parse_localpart(item) for item in _items(field, value)}))
    except AddressError as error:
        raise Invalid(field, str(error)) from None


def localparts_in(domain: str) -> Rule:
    """As *localparts*, but whole addresses in *domain* (canonical) are taken too."""

    def rule(field: str, value: str | Collection[str]) -> tuple[str, ...]:
        return localparts(field, [_localpart_in(domain, field, item) for item in _items(field, value)])

    return rule


def _localpart_in(domain: str, field: str, text: str) -> str:
    if "@" not in text:
        return text
    parsed = address(field, text)
    if parsed.domain != domain:
        raise Invalid(field, f"{text!r} is not an address of {domain}")
    return parsed.localpart


def mail_rules(field: str, value: Any) -> str | None:
    """Rules for arriving mail, as a list of mappings or as its JSON; stored as JSON, NULL for none."""
    try:
        return checked_rules(value)
    except BadRule as error:
        raise Invalid(field, str(error)) from None


def words(field: str, value: str | Collection[str]) -> tuple[str, ...]:
    """Texts without commas and control characters, for example folder names. Blanks inside stay."""
    found = sorted({text(255)(field, item) for item in _items(field, value)})
    if any("," in item for item in found):
        raise Invalid(field, "a comma cannot be part of a name here")
    return _within_limit(field, found)


def networks(field: str, value: str | Collection[str]) -> tuple[str, ...]:
    """IP networks in CIDR notation; a single address is a network of one. Host bits are cleared."""
    found = set()
    for item in _items(field, value):
        try:
            found.add(str(ip_network(item, strict=False)))
        except ValueError:
            raise Invalid(field, f"{item!r} is not an IP address or a network like 192.0.2.0/24") from None
    return _within_limit(field, sorted(found))


def _items(field: str, value: str | Collection[str] | None) -> list[str]:
    if value is None:
        return []
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple | set | frozenset) or not all(isinstance(item, str) for item in items):
        raise Invalid(field, "a list of texts is needed")
    return [item.strip() for item in items if item.strip()]


def _within_limit(field: str, items: list[str]) -> tuple[str, ...]:
    if len(",".join(items).encode()) > MAX_LIST_OCTETS:
        raise Invalid(field, f"the list is longer than {MAX_LIST_OCTETS} octets")
    return tuple(items)


def flag(field: str, value: bool) -> bool:
    """True or false, and nothing that merely looks so."""
    if not isinstance(value, bool):
        raise Invalid(field, "true or false is needed")
    return value


def number(minimum: int, maximum: int) -> Rule:
    """A whole number from *minimum* to *maximum*."""

    def rule(field: str, value: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            raise Invalid(field, f"a whole number from {minimum} to {maximum} is needed")
        return value

    return rule


size = number(0, _MAX_BYTES)
"""A number of bytes; 0: no limit."""

count_limit = number(-1, _MAX_COUNT)
"""How many there may be; -1: no limit."""


def text(maximum: int) -> Rule:
    """One line of at most *maximum* characters. Control characters are refused: they end lines in other files."""

    def rule(field: str, value: str) -> str:
        if not isinstance(value, str):
            raise Invalid(field, "a text is needed")
        if len(value) > maximum:
            raise Invalid(field, f"at most {maximum} characters")
        if any(not character.isprintable() for character in value):
            raise Invalid(field, "control characters and line ends are not allowed")
        return value

    return rule


def lines(maximum: int) -> Rule:
    """A text of several lines, kept with single line feeds; empty and None are None."""

    def rule(field: str, value: str | None) -> str | None:
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise Invalid(field, "a text is needed")
        plain = value.replace("\r\n", "\n").replace("\r", "\n")
        if len(plain.encode(errors="replace")) > maximum:
            raise Invalid(field, f"at most {maximum} octets")
        if "\0" in plain:
            raise Invalid(field, "a NUL character is not allowed")
        return plain

    return rule


def reply_text(field: str, value: str | None) -> str | None:
    """As *lines*, for the text of an automatic reply: what is stored is sent whole."""
    plain: str | None = lines(MAX_LIST_OCTETS)(field, value)
    if plain is not None and (size := _reply_octets(plain)) > REPLY_OCTETS:
        counted = "line ends, tabs and % count twice, letters beyond ASCII two to four times"
        raise Invalid(field, f"at most {REPLY_OCTETS} octets, these are {size} ({counted})")
    return plain


def shortened_reply(text: str) -> str:
    """The beginning of a text that *reply_text* refuses for its length, with a mark that it is not all."""
    room = REPLY_OCTETS - _reply_octets("\N{HORIZONTAL ELLIPSIS}")
    taken = itertools.accumulate(_reply_octets(character) for character in text)
    fitting = sum(1 for _ in itertools.takewhile(lambda octets: octets <= room, taken))
    return text[:fitting].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _reply_octets(text: str) -> int:
    """Dovecot's answers escape line ends and tabs, and % has to be doubled."""
    return len(text.encode(errors="replace")) + sum(text.count(character) for character in "\n\t%")


def optional(rule: Rule) -> Rule:
    """As *rule*, but None and the empty text are None."""
    return lambda field, value: None if value is None or value == "" else rule(field, value)


def required(rule: Rule) -> Rule:
    """As *rule*, but the result must not be empty."""

    def checked(field: str, value: Any) -> Any:
        result = rule(field, value)
        if not result:
            raise Invalid(field, "this cannot be empty")
        return result

    return checked


def day(field: str, value: date | str) -> date:
    """A date, or its text ``YYYY-MM-DD``."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise Invalid(field, f"{value!r} is not a date like 2030-12-31") from None
    if type(value) is not date:
        raise Invalid(field, "a date is needed")
    return value


def one_of(*choices: str) -> Rule:
    """One of *choices*."""

    def rule(field: str, value: str) -> str:
        if value not in choices:
            raise Invalid(field, f"one of {', '.join(choices)} is needed")
        return value

    return rule


def rate(field: str, value: str) -> str:
    """How many in which time, like ``200/day``."""
    if not isinstance(value, str) or not _RATE.match(value.strip()):
        raise Invalid(field, f"{value!r} is not a number and a time, like 200/day or 30/2 hours")
    return value.strip()


def relay_target(field: str, value: str | None) -> str:
    """A relay's target in canonical notation; None is the empty one."""
    try:
        return text(255)(field, str(parse_relay_target(value)))  # type: ignore[no-any-return]
    except BadRelayTarget as error:
        raise Invalid(field, str(error)) from None


def smart_host(field: str, value: str) -> str:
    """A host that takes mail for others, in the notation of relay targets: a name or an address, by SMTP."""
    target = parse_relay_target(relay_target(field, value))
    if target.host is None or target.protocol != "smtp":
        raise Invalid(field, "a host is needed, such as smtp.example.com:587")
    return str(target)


def smart_host_user(field: str, value: str) -> str:
    """A log-in name at a smart host; Postfix writes it before a colon and the password."""
    name: str = text(255)(field, value)
    if ":" in name:
        raise Invalid(field, "a colon cannot be part of a user name here")
    return name


def password_hash(field: str, value: str) -> str:
    """A ready hash. Whether it is of a known scheme is for ``mailu.auth.passwords`` to say."""
    checked: str = required(text(255))(field, value)
    return checked


def check_password(password: str, *, breached: int = 0) -> None:
    """Raise Invalid unless *password* may be chosen: 8 characters, no blank at either end, never seen in a breach.

    *breached* is how often it was found in published breaches, as far as anybody looked.
    """
    if len(password) < 8:
        raise Invalid("password", "at least 8 characters are needed")
    if password != password.strip():
        raise Invalid("password", "no blank can stand at the beginning or at the end")
    if breached > 0:
        raise Invalid("password", f"this password was published {breached} times after break-ins; choose another one")


def apply(row: object, fields: Mapping[str, Any], rules: Mapping[str, Rule]) -> dict[str, list[Any]]:
    """Check *fields*, set them on *row*, and return what changed as ``{field: [before, after]}``.

    Nothing is set if any of them is refused. Raises Invalid, also for a field that has no rule.
    """
    checked = {}
    for name, value in fields.items():
        if name not in rules:
            raise Invalid(name, "there is no such field")
        checked[name] = rules[name](name, value)
    changed = {}
    for name, value in checked.items():
        before = getattr(row, name)
        if before != value:
            setattr(row, name, value)
            changed[name] = [before, value]
    return changed
