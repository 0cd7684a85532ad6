"""What can stand in a document, attribute by attribute: the rule, the default, and how it is shown and merged.

The rules are those of ``directory.changes``; nothing is allowed here that is refused there, and the other way round.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from mailu.address import DomainName, parse_domain, unicode_domain
from mailu.directory.changes import Invalid, aliases, domains, fetches, senders, tls_exceptions, tokens, users, values
from mailu.directory.changes.journal import SECRET
from mailu.directory.changes.values import Rule
from mailu.directory.columns import CommaList
from mailu.directory.models import Alias, ApiToken, Base, Domain, Fetch, ListedSender, Relay, TlsException, Token, User
from mailu.directory.sender_lists import ALLOW, DENY

HIDDEN = "<hidden>"
"""Stands for a secret that was left out; when read, it leaves the secret as it is."""
PRUNE = "-prune-"
GENERATE = "-generate-"

Record = dict[str, Any]
"""The attributes of one thing that differ from their defaults, in the form in which they are stored."""


class KeyRecord(NamedTuple):
    """A DKIM key of a domain."""

    selector: str
    state: str
    """``active``, ``pending`` or ``retired``."""
    private_pem: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of one kind of thing."""

    name: str
    default: Any
    rule: Rule
    merges: bool = False
    """A list, to which an update adds."""
    secret: bool = False
    """Shown as ``<hidden>`` unless secrets are asked for."""
    fact: bool = False
    """Nobody's decision: shown with everything (``--full``), and read for what is new only."""
    show: Callable[[Any], Any] = lambda value: value


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing."""

    section: str
    key: str
    """The attribute that names it."""
    attributes: Mapping[str, Attribute]
    passed_over: frozenset[str] = frozenset()
    """What an export may show and an import does not need."""


def shown_domain(name: str) -> str:
    """A domain name for people: in Unicode, where that leads back to the same name."""
    if "xn--" not in name:
        return name
    shown = unicode_domain(DomainName(name))
    try:
        return shown if parse_domain(shown) == name else name
    except ValueError:
        return name


def shown_address(email: str) -> str:
    """An address for people, with the domain in Unicode."""
    localpart, _, domain = email.rpartition("@")
    return f"{localpart}@{shown_domain(domain)}"


def shown_sender(sender: str) -> str:
    """An address, a domain or a network for people."""
    return shown_address(sender) if "@" in sender else sender if "/" in sender else shown_domain(sender)


def _shown_list(show: Callable[[str], str]) -> Callable[[Any], Any]:
    return lambda items: [show(item) for item in items]


def default_of(table: type[Base], name: str) -> Any:
    """What a column holds when nothing is said; None also where something has to be said."""
    column = table.__table__.c[name]
    if column.default is not None and getattr(column.default, "is_scalar", False):
        return column.default.arg
    return () if isinstance(column.type, CommaList) else None


def _moment(field: str, value: Any) -> datetime | None:
    """A point in time; RFC 3339 as a text, and UTC where it names no zone."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise Invalid(field, f"{value!r} is not a time like 2030-12-31T23:59:59Z") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the zone is set below
    if not isinstance(value, datetime):
        raise Invalid(field, "a time like 2030-12-31T23:59:59Z is needed")
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


def _home(field: str, value: Any) -> str:
    """A folder below ``mail/``: no way out of it, and no two spellings of one folder."""
    home: str = values.required(values.text(320))(field, value)
    if any(part in ("", ".", "..") for part in home.split("/")):
        raise Invalid(field, f"{home!r} is not a folder below mail/")
    return home


def _domains(field: str, value: Any) -> tuple[str, ...]:
    """Domain names: sorted, each once. Whether there are such domains is not asked: a key may outlive one."""
    if not isinstance(value, list | tuple):
        raise Invalid(field, "a list of domain names is needed")
    return tuple(sorted({values.domain_name(field, item) for item in value}))


def token_digest(field: str, value: Any) -> str:
    """The SHA-256 of a key to the API, as it is stored."""
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise Invalid(field, "64 hexadecimal digits are needed, as `config-export --secrets` shows them")
    return value


def _address(field: str, value: Any) -> str:
    return str(values.address(field, value))


_LISTS = {"forward_destination", "destination", "ip", "folders", "domains", "listed_recipients"}
_SHOWN: dict[str, Callable[[Any], Any]] = {
    "forward_destination": _shown_list(shown_address),
    "destination": _shown_list(shown_address),
    "owner_email": shown_address,
    "ip": list,
    "domains": _shown_list(shown_domain),
    "mail_rules": json.loads,
    "folders": list,
    "listed_recipients": list,
}


def _ruled(table: type[Base], rules: Mapping[str, Rule]) -> list[Attribute]:
    return [
        Attribute(
            name,
            default_of(table, name),
            rule,
            merges=name in _LISTS,
            secret=name in SECRET,
            show=_SHOWN.get(name, lambda value: value),
        )
        for name, rule in rules.items()
    ]


def _dates(table: type[Base]) -> list[Attribute]:
    return [
        Attribute(name, default_of(table, name), values.optional(values.day), fact=True)
        for name in ("created_at", "updated_at")
    ]


def _by_name(*attributes: Attribute) -> dict[str, Attribute]:
    return {attribute.name: attribute for attribute in attributes}


_HASH = Attribute("password", None, values.password_hash, secret=True)

DOMAIN = Kind(
    "domain",
    "name",
    _by_name(*_ruled(Domain, domains.RULES), *_dates(Domain)),
    frozenset(
        [
            "dkim_publickey",
            "dns_mx",
            "dns_spf",
            "dns_dkim",
            "dns_dmarc",
            "dns_dmarc_report",
            "dns_autoconfig",
            "dns_tlsa",
            "managers",
        ]
    ),
)
USER = Kind(
    "user",
    "email",
    _by_name(
        *_ruled(User, users.RULES),
        _HASH,
        Attribute("home", None, _home, fact=True),
        Attribute("quota_bytes_used", 0, values.size, fact=True),
        Attribute("last_login", None, _moment, fact=True),
        *_dates(User),
    ),
    frozenset({"owned_aliases"}),
)
ALIAS = Kind(
    "alias",
    "email",
    _by_name(
        *_ruled(Alias, aliases.RULES),
        Attribute("owner_email", None, values.optional(_address), show=shown_address),
        *_dates(Alias),
    ),
)
RELAY = Kind(
    "relay",
    "name",
    _by_name(*_ruled(Relay, domains.RELAY_RULES), Attribute("smtp", "", domains.RELAY_RULES["smtp"]), *_dates(Relay)),
)
TOKEN = Kind("tokens", "id", _by_name(*_ruled(Token, tokens.RULES), _HASH, *_dates(Token)))
FETCH = Kind(
    "fetches",
    "id",
    _by_name(
        *_ruled(Fetch, fetches.RULES),
        Attribute("last_check", None, _moment, fact=True),
        Attribute("error", None, values.lines(1023), fact=True),
        *_dates(Fetch),
    ),
)

SENDER = Kind(
    "sender",
    "sender",
    _by_name(
        *_ruled(ListedSender, senders.RULES),
        Attribute("created_by", "", values.text(255), fact=True),
        *_dates(ListedSender),
    ),
)
"""The list of the whole server. Those of domains and users are names with a comment, by what is said about them:"""
SENDER_LISTS = {"allowed_senders": ALLOW, "denied_senders": DENY}


API_TOKEN = Kind(
    "api_token",
    "id",
    _by_name(
        *_ruled(
            ApiToken,
            {
                "comment": values.text(255),
                "domains": _domains,
                "read_only": values.flag,
                "expires_at": values.optional(_moment),
            },
        ),
        Attribute("digest", None, token_digest, secret=True),
        Attribute("last_used", None, _moment, fact=True),
        *_dates(ApiToken),
    ),
)
"""Keys to the API. A document that has no such section says nothing about them."""

TLS_EXCEPTION = Kind(
    "tls_exception",
    "name",
    _by_name(
        *_ruled(TlsException, tls_exceptions.RULES),
        Attribute("created_by", "", values.text(255), fact=True),
        *_dates(TlsException),
    ),
)
"""Exceptions from encryption."""

KINDS = {kind.section: kind for kind in (DOMAIN, USER, ALIAS, RELAY, SENDER, TLS_EXCEPTION, API_TOKEN)}
"""By section, in the order in which a document has them."""
