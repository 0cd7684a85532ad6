"""The menu beside every page: what this person can do here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailu.directory.roles import anonymous_alias_domains
from mailu.web.language import _

if TYPE_CHECKING:
    from mailu.web.visit import Visit


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the menu."""

    title: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Lines under one heading."""

    title: str
    entries: list[Entry]


def menu_of(visit: Visit) -> list[Group]:
    """The menu for the visitor, who is signed in."""
    if not visit.settings.admin:
        return []
    groups = [Group(_("My account"), _account(visit))]
    if visit.person.global_admin or visit.person.manages:
        groups.append(Group(_("Mail"), _mail(visit)))
    if visit.person.global_admin:
        groups.append(Group(_("Server"), _server(visit)))
    return [*groups, Group(_("Go to"), _elsewhere(visit))]


def _account(visit: Visit) -> list[Entry]:
    entries = [
        _entry(visit, _("Overview"), "home"),
        _entry(visit, _("Settings"), "settings"),
        _entry(visit, _("Automatic reply"), "reply"),
        _entry(visit, _("Rules"), "rules"),
        _entry(visit, _("Blocked and allowed senders"), "senders"),
        _entry(visit, _("Password and security"), "security"),
        _entry(visit, _("App passwords"), "tokens"),
    ]
    if visit.settings.fetchmail_enabled:
        entries.append(_entry(visit, _("Fetched accounts"), "fetches"))
    if anonymous_alias_domains(visit.snapshot, visit.person):
        entries.append(_entry(visit, _("Anonymous aliases"), "anonymous"))
    return [*entries, _entry(visit, _("Set up a mail program"), "client")]


def _mail(visit: Visit) -> list[Entry]:
    entries = [_entry(visit, _("Search"), "search"), _entry(visit, _("Domains"), "domains")]
    if visit.person.global_admin:
        entries += [
            _entry(visit, _("Relayed domains"), "relays"),
            _entry(visit, _("Administrators"), "admins"),
            _entry(visit, _("Announcement"), "announcement"),
        ]
    return entries


def _server(visit: Visit) -> list[Entry]:
    return [
        _entry(visit, _("Services"), "status"),
        _entry(visit, _("Mail queue"), "queue"),
        _entry(visit, _("Statistics"), "statistics"),
        _entry(visit, _("Blocked log-ins"), "limits"),
        _entry(visit, _("Senders"), "server_senders"),
        _entry(visit, _("Exceptions from encryption"), "tls_exceptions"),
        Entry(_("Spam filter"), f"{visit.settings.web_admin}/antispam/", current=False),
        _entry(visit, _("API keys"), "api_tokens"),
        _entry(visit, _("Audit trail"), "audit"),
    ]


def _elsewhere(visit: Visit) -> list[Entry]:
    settings = visit.settings
    entries = [Entry(_("Webmail"), f"{settings.web_webmail.rstrip('/')}/", current=False)] if settings.webmail else []
    if settings.website:
        entries.append(Entry(_("Website"), settings.website, current=False))
    if settings.domain_registration:
        entries.append(_entry(visit, _("Register a domain"), "domain_register"))
    return entries


def _entry(visit: Visit, title: str, name: str) -> Entry:
    asked = visit.page_asked.name if visit.page_asked else ""
    return Entry(title, visit.url(name), current=asked == name)
