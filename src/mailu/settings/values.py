"""The forms a value can have: one parser each, and the text that the parser reads back.

A ``Kind`` knows how people write a value, what it becomes, and how it is written again. Parsers raise ValueError
with a short reason; the loader adds the variable's name, the value, and the form that was expected.
"""

from __future__ import annotations

import ipaddress
import re
import zoneinfo
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from mailu.address import DomainName, EmailAddress, parse_address, parse_domain, parse_localpart

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One form of value. ``parse(show(value)) == value`` for every value of the kind."""

    form: str
    """What is expected, for people: completes "expected …"."""
    parse: Callable[[str], T]
    show: Callable[[T], str]


@dataclass(frozen=True, slots=True, order=True)
class Rate:
    """At most *count* events within any *seconds*."""

    count: int
    seconds: int

    def __str__(self) -> str:
        for unit, length in reversed(_PERIODS.items()):
            multiple, rest = divmod(self.seconds, length)
            if not rest:
                return f"{self.count}/{unit}" if multiple == 1 else f"{self.count}/{multiple} {unit}"
        raise AssertionError("a second divides everything")


@dataclass(frozen=True, slots=True, order=True)
class Routed:
    """A destination domain and the class of treatment that it gets."""

    domain: DomainName
    treatment: str

    def __str__(self) -> str:
        return f"{self.domain}:{self.treatment}"


# Booleans

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0", "none"})


def parse_boolean(text: str) -> bool:
    """``true/yes/on/1`` and ``false/no/off/0/none`` in any case. Everything else is refused, so that no misspelt
    "false" counts as true."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("neither yes nor no")


boolean = Kind("true or false (also yes/no, on/off, 1/0)", parse_boolean, lambda value: "true" if value else "false")


# Text

text = Kind("any text", str, str)
optional_text: Kind[str | None] = Kind("any text", lambda given: given or None, lambda value: value or "")


def parse_root(given: str) -> Path:
    """An absolute path, normalised, and not the file system's root."""
    path = Path(given.strip())
    if not path.is_absolute() or ".." in path.parts or "\0" in given:
        raise ValueError("not an absolute path")
    if path == Path("/"):
        raise ValueError("that is the whole machine")
    return path


def always(reason: str) -> Kind[bool]:
    """A boolean that is only there to be true; *reason* tells those who ask for false."""

    def parse(given: str) -> bool:
        if given.strip().lower() not in {"rspamd"} and not parse_boolean(given):
            raise ValueError(reason)
        return True

    return Kind("true", parse, lambda _: "true")


def words(*allowed: str, same: dict[str, str] | None = None) -> Kind[str]:
    """One of *allowed*, in any case. *same* maps other spellings that were in use to one of them."""
    spellings = {word.lower(): word for word in allowed} | (same or {})

    def parse(given: str) -> str:
        try:
            return spellings[given.strip().lower()]
        except KeyError:
            raise ValueError("not one of them") from None

    return Kind("one of " + ", ".join(allowed), parse, str)


def matching(pattern: str, form: str) -> Kind[str]:
    """Text that the regular expression *pattern* matches as a whole."""
    compiled = re.compile(pattern)

    def parse(given: str) -> str:
        stripped = given.strip()
        if not compiled.fullmatch(stripped):
            raise ValueError("it does not have that form")
        return stripped

    return Kind(form, parse, str)


def optional(kind: Kind[T]) -> Kind[T | None]:
    """*kind*, or nothing: the word ``none``, or empty text."""

    def parse(given: str) -> T | None:
        return None if given.strip().lower() in {"", "none"} else kind.parse(given)

    def show(value: T | None) -> str:
        return "" if value is None else kind.show(value)

    return Kind(f"{kind.form}, or none", parse, show)


def _parse_path(given: str) -> str:
    if not given.startswith("/"):
        raise ValueError("it does not begin with /")
    if re.search(r"""[\s"'{};?#\\]|//|\.\.""", given):
        raise ValueError("it has a character that cannot stand in a path of a URL here")
    return given if given == "/" else given.rstrip("/")


url_path = Kind("a path that begins with /, such as /admin", lambda given: _parse_path(given.strip()), str)
url = matching(r"https?://[^\s\"'<>]+", "a URL that begins with https:// or http://")
url_or_path = Kind("a URL or a path", lambda given: (url if "://" in given else url_path).parse(given), str)


def _parse_webroot(given: str) -> str | None:
    stripped = given.strip()
    return stripped.lower() if stripped.lower() == "none" else (url_or_path.parse(stripped) if stripped else None)


webroot: Kind[str | None] = Kind("a URL, a path, or none", _parse_webroot, lambda value: value or "")
header_name = matching(r"[A-Za-z0-9-]+", "the name of an HTTP header, such as X-Forwarded-For")
file_name = matching(r"(?!\.)[A-Za-z0-9._-]+(?:/(?!\.)[A-Za-z0-9._-]+)*", "a file name below ROOT/certs")
selector = matching(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", "one DNS label in lower case, such as dkim")
printable = matching(r"[\x20-\x7e]*", "printable ASCII text on one line")
locale = matching(r"[a-z]{2,3}(?:_[A-Za-z]{2,4})?", "a language code such as en or pt_BR")


def _parse_zone(given: str) -> str:
    """The name of a zone. A machine that knows no zones at all (a small container) must not refuse to start."""
    name = given.strip()
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        if any(Path(folder).is_dir() for folder in zoneinfo.TZPATH):
            raise ValueError("no such time zone") from None
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*", name):
            raise ValueError("it does not have that form") from None
    return name


time_zone = Kind("a time zone such as Europe/Berlin or Etc/UTC", _parse_zone, str)


def _parse_delimiters(given: str) -> str:
    if given.strip().lower() == "none":
        return ""
    characters = "".join(dict.fromkeys(given.strip()))
    if refused := [character for character in characters if character not in "+-_.=#!~^|&%$*'/"]:
        raise ValueError(f"{refused[0]!r} cannot separate")
    return characters


delimiters = Kind(
    "a set of characters such as +, each of which starts the detail, or none",
    _parse_delimiters,
    lambda value: value or "none",
)


# Numbers and sizes


def integer(low: int, high: int, unit: str = "") -> Kind[int]:
    """A whole number from *low* to *high*, in *unit*."""

    def parse(given: str) -> int:
        return _bounded(_digits(given), low, high)

    return Kind(f"a whole number from {low} to {high}" + (f" ({unit})" if unit else ""), parse, str)


def _digits(given: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", given.strip()):
        raise ValueError("not a whole number")
    return int(given)


def _bounded(number: int, low: int, high: int) -> int:
    if not low <= number <= high:
        raise ValueError("too small" if number < low else "too large")
    return number


def _parse_decimal(given: str) -> float:
    stripped = given.strip()
    if not re.fullmatch(r"-?[0-9]{1,6}(?:\.[0-9]{1,6})?", stripped):
        raise ValueError("not a number")
    return float(stripped)


def _show_decimal(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _parse_seconds(given: str) -> float:
    number = _parse_decimal(given)
    if not 0.01 <= number <= 3600:
        raise ValueError("too short" if number < 1 else "too long")
    return number


score = Kind("a number such as 15 or 4.5", _parse_decimal, _show_decimal)
seconds = Kind("a number of seconds from 0.01 to 3600", _parse_seconds, _show_decimal)

_SIZES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SIZE = re.compile(r"([0-9]{1,19})\s*([A-Za-z]*)")
_MAX_BYTES = 2**62


def parse_size(given: str) -> int:
    """A number of bytes: ``50000000``, ``50 MB`` (10^6), ``50 MiB`` (2^20). ``50M`` is refused, as it means
    10^6 to some programs and 2^20 to others."""
    match = _SIZE.fullmatch(given.strip())
    if not match:
        raise ValueError("not a size")
    number, unit = match.groups()
    if unit.lower() in {"k", "m", "g", "t"}:
        raise ValueError(f"write {number}{unit}B (powers of 1000) or {number}{unit}iB (powers of 1024)")
    if unit.lower() not in _SIZES:
        raise ValueError(f"unknown unit {unit!r}")
    return _bounded(int(number) * _SIZES[unit.lower()], 0, _MAX_BYTES)


size = Kind("a number of bytes, or a number with kB, MB, GB, KiB, MiB or GiB", parse_size, str)

_DURATIONS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MAX_SECONDS = 100 * 366 * 86400


def parse_duration(given: str) -> int:
    """A number of seconds: ``3600``, ``60m``, ``1h``, ``2d``."""
    match = re.fullmatch(r"([0-9]{1,12})\s*([smhdw]?)", given.strip().lower())
    if not match:
        raise ValueError("not a duration")
    return _bounded(int(match[1]) * _DURATIONS[match[2]], 0, _MAX_SECONDS)


duration = Kind("a number of seconds, or a number with m, h, d or w", parse_duration, str)

_PERIODS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "month": 30 * 86400,
    "year": 360 * 86400,
}
"""Lengths in seconds, as the ``limits`` library counts them, because limits in use were written for it."""
_RATE = re.compile(r"([0-9]{1,12})\s*(?:/|per)\s*([0-9]{1,6})?\s*(second|minute|hour|day|month|year)s?")
_NO_LIMIT = frozenset({"none", "off", "unlimited"})


def parse_rate(given: str) -> Rate | None:
    """``5/hour``, ``200 per day``, ``10/2 hours``; None, no limit, for ``none``, ``off`` and ``unlimited``."""
    lowered = given.strip().lower()
    if lowered in _NO_LIMIT:
        return None
    match = _RATE.fullmatch(lowered)
    if not match:
        raise ValueError("give one rate only" if re.search("[,;|]", lowered) else "not a rate")
    count, multiple = int(match[1]), int(match[2] or 1)
    if not count or not multiple:
        raise ValueError("a rate of nothing; write none for no limit")
    return Rate(count, multiple * _PERIODS[match[3]])


rate = Kind(
    "a rate such as 5/hour or 200/day, or none for no limit",
    parse_rate,
    lambda value: "none" if value is None else str(value),
)


# Lists


def _items(given: str) -> list[str]:
    """The items of a list separated by commas or blanks, each once, in order."""
    return list(dict.fromkeys(item for item in re.split(r"[,\s]+", given.strip()) if item))


def list_of(kind: Kind[T], form: str) -> Kind[tuple[T, ...]]:
    """Any number of *kind*, separated by commas; the word ``none`` alone is the empty list. What is there twice
    counts once."""

    def parse(given: str) -> tuple[T, ...]:
        items = _items(given)
        if [item.lower() for item in items] == ["none"]:
            return ()
        return tuple(dict.fromkeys(_parse_item(kind, item) for item in items))

    def show(values: tuple[T, ...]) -> str:
        return ",".join(kind.show(value) for value in values) or "none"

    return Kind(form, parse, show)


def _parse_item(kind: Kind[T], item: str) -> T:
    try:
        return kind.parse(item)
    except ValueError as error:
        raise ValueError(f"{item!r}: {error}") from None


domain: Kind[DomainName] = Kind("a domain name such as example.com", parse_domain, str)
domains = list_of(domain, "domain names separated by commas")


def _parse_host(given: str) -> DomainName:
    name = parse_domain(given)
    if "." not in name:
        raise ValueError(f"{given!r} is not a full host name: the domain is missing")
    return name


host_names = list_of(
    Kind("a full host name such as mail.example.com", _parse_host, str),
    "full host names separated by commas, such as mail.example.com",
)
address: Kind[EmailAddress] = Kind("an address such as ann@example.com", parse_address, str)
addresses = list_of(address, "addresses separated by commas")
localpart: Kind[str] = Kind("the part of an address before the @", parse_localpart, str)


def parse_network(given: str) -> Network:
    """An IPv4 or IPv6 network or address. Host bits are dropped, and Postfix's brackets around IPv6 are let through."""
    cleaned = given.strip().replace("[", "").replace("]", "")
    return ipaddress.ip_network(cleaned, strict=False)


def _network(given: str) -> Network:
    try:
        return parse_network(given)
    except ValueError:
        raise ValueError("not a network") from None


network: Kind[Network] = Kind("a network such as 192.0.2.0/24 or 2001:db8::/32", _network, str)
networks: Kind[tuple[Network, ...]] = list_of(network, "networks such as 192.0.2.0/24, separated by commas")


def bind_address(version: int) -> Kind[str]:
    """An address of this machine to listen on, of IP *version*; empty (``none``) for no listener."""

    def parse(given: str) -> str:
        stripped = given.strip().strip("[]")
        if stripped.lower() in {"", "none"}:
            return ""
        if stripped == "*":
            return "0.0.0.0" if version == 4 else "::"  # noqa: S104 - a mail server is there to be reached
        try:
            parsed = ipaddress.ip_address(stripped)
        except ValueError:
            raise ValueError("not an address") from None
        if parsed.version != version:
            raise ValueError(f"that is an IPv{parsed.version} address")
        return str(parsed)

    example = "192.0.2.1" if version == 4 else "2001:db8::1"
    return Kind(f"an IPv{version} address such as {example}, or none", parse, lambda value: value or "none")


host_address = matching(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]+\]?",
    "a host name or an IP address without a port",
)


def _parse_host_address(given: str) -> str:
    return host_address.parse(given).strip("[]")


service_address: Kind[str | None] = optional(replace(host_address, parse=_parse_host_address))

LISTENER_PORTS = (25, 80, 110, 143, 443, 465, 587, 993, 995, 4190)
"""Every port that can be opened to the world."""
TLS_PORTS = frozenset({443, 465, 993, 995})
"""Ports on which TLS comes first, before the protocol."""
_MAIL_PORTS = frozenset({25, 110, 995, 143, 993, 587, 465, 4190})
_PORT_GROUPS: dict[str, frozenset[int]] = {
    "mail": _MAIL_PORTS,
    "all-but-http": _MAIL_PORTS | {443},
    "all": _MAIL_PORTS | {443, 80},
}


def _ports(form: str, allowed: Iterable[int], groups: dict[str, frozenset[int]]) -> Kind[frozenset[int]]:
    known = frozenset(allowed)

    def parse(given: str) -> frozenset[int]:
        found: set[int] = set()
        for item in _items(given):
            if item.lower() in groups:
                found |= groups[item.lower()]
            elif item.isascii() and item.isdigit() and int(item) in known:
                found.add(int(item))
            elif item.lower() != "none":
                raise ValueError(f"{item!r} is not one of them")
        return frozenset(found)

    return Kind(form, parse, lambda value: ",".join(map(str, sorted(value))) or "none")


ports = _ports("ports out of " + ", ".join(map(str, LISTENER_PORTS)) + ", separated by commas", LISTENER_PORTS, {})
tls_ports = _ports("ports out of 443, 465, 993, 995, separated by commas", TLS_PORTS, {})
proxy_ports = _ports("ports separated by commas, or one of mail, all-but-http, all", LISTENER_PORTS, _PORT_GROUPS)

_FTS_OFF = frozenset({"off", "false", "no", "0", "none"})


def _parse_languages(given: str) -> tuple[str, ...]:
    items = [item.lower() for item in _items(given)]
    if len(items) == 1 and items[0] in _FTS_OFF:
        return ()
    if len(items) == 1 and items[0] in _TRUE:
        return ("en",)
    for item in items:
        if not re.fullmatch(r"[a-z]{2,3}", item):
            raise ValueError(f"{item!r} is not a language code")
    return tuple(items)


languages: Kind[tuple[str, ...]] = Kind(
    "language codes such as en,de separated by commas, or off", _parse_languages, lambda value: ",".join(value) or "off"
)
plugin_names = list_of(matching(r"[A-Za-z0-9_]+", "a name"), "names separated by commas")


def routed(allowed: tuple[str, ...], default: str | None) -> Kind[tuple[Routed, ...]]:
    """A list of ``domain:treatment``; a domain alone gets *default*."""

    def parse_item(given: str) -> Routed:
        name, colon, treatment = given.partition(":")
        wanted = treatment.lower() if colon else default
        if wanted not in allowed:
            raise ValueError("after the colon stands one of " + ", ".join(allowed))
        return Routed(parse_domain(name), wanted)

    item = Kind("", parse_item, str)
    return list_of(item, f"domain:word separated by commas, the word one of {', '.join(allowed)}")


# Places on the network

_NEXT_HOP = re.compile(r"(?:\[[^\[\]\s]+\]|[A-Za-z0-9._-]+)(?::[A-Za-z0-9-]+)?")


def _parse_next_hop(given: str) -> str:
    stripped = given.strip()
    if not _NEXT_HOP.fullmatch(stripped):
        raise ValueError("not a host")
    return stripped


next_hop = Kind("[host]:port, or host:port to look up its MX", _parse_next_hop, str)


def _parse_database_url(given: str) -> str:
    stripped = given.strip()
    if not re.match(r"[a-z0-9]+(?:\+[a-z0-9_]+)?://", stripped):
        raise ValueError("it does not begin with a database's name and ://")
    return stripped


database_url = Kind("a database URL such as postgresql://user:password@host/name", _parse_database_url, str)
