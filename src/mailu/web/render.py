"""Filling templates: one environment, escaping on, unknown names are errors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_decimal
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mailu.address import DomainName, unicode_domain
from mailu.settings import Settings
from mailu.web.browsers import shown_browser
from mailu.web.language import LANGUAGES, _, current
from mailu.web.menu import menu_of

if TYPE_CHECKING:
    from mailu.web.visit import Visit

HERE = Path(__file__).parent
STATIC = HERE / "static"
MARK_FIELD = "form_mark"
"""The hidden field that carries a form's mark."""
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True)
class Renderer:
    """Turns a template and values into a page."""

    settings: Settings

    @cached_property
    def environment(self) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        environment.install_gettext_callables(  # type: ignore[attr-defined]
            lambda text: _(text), lambda one, many, n: _(one if n == 1 else many), newstyle=True
        )
        environment.filters.update(
            size=shown_size,
            number=shown_number,
            day=shown_day,
            shown=shown_name,
            browser=shown_browser,
            mailbox=shown_address,
        )
        environment.globals.update(site=self._site(), languages=list(LANGUAGES.items()), settings=self.settings)
        return environment

    def page(self, visit: Visit, template: str, values: Mapping[str, Any]) -> str:
        """A whole page."""
        context = {
            "visit": visit,
            "person": visit.signed_in,
            "locale": visit.language,
            "url": visit.url,
            "static": static_url,
            "csrf": lambda: _hidden(visit.form_mark),
            "here": visit.here,
            "menu": menu_of(visit) if visit.signed_in else [],
            "crumbs": [],
            "moment": lambda value: shown_moment(value, visit),
            "ago": shown_ago,
            **values,
        }
        return self.environment.get_template(template).render(context)

    def _site(self) -> dict[str, str | None]:
        settings = self.settings
        return {
            "name": settings.sitename,
            "logo": settings.logo_url,
            "website": settings.website,
            "contact": settings.contact_url,
        }


def static_url(name: str) -> str:
    """The address of a file in ``static``; it changes with the file, so browsers may keep it for ever."""
    return f"/static/{name}?v={_fingerprint(name)}"


_fingerprints: dict[str, str] = {}


def _fingerprint(name: str) -> str:
    if name not in _fingerprints:
        _fingerprints[name] = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return _fingerprints[name]


def _hidden(mark: str) -> Markup:
    return Markup('<input type="hidden" name="{}" value="{}">').format(MARK_FIELD, mark)


def shown_size(octets: int) -> str:
    """Bytes as people read them, in powers of 1000 as disks are sold."""
    value, unit = float(octets), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    number = format_decimal(round(value, 1 if value < 100 and unit else 0), locale=current().locale)
    return f"{number}\N{NO-BREAK SPACE}{_UNITS[unit]}"


def shown_number(value: float) -> str:
    """A number with the separators of the language."""
    return str(format_decimal(value, locale=current().locale))


def shown_day(value: date | None) -> str:
    """A day; nothing for None."""
    return str(format_date(value, "medium", locale=current().locale)) if value else ""


def shown_moment(value: datetime | float | None, visit: Visit) -> str:
    """A moment in the installation's time zone; nothing for None."""
    if value is None:
        return ""
    return str(format_datetime(_aware(value), "short", tzinfo=visit.time_zone, locale=current().locale))


def shown_ago(value: datetime | float | None) -> str:
    """How long ago a moment was; a dash for never."""
    if value is None:
        return "–"
    return str(format_timedelta(_aware(value) - datetime.now(UTC), add_direction=True, locale=current().locale))


def _aware(value: datetime | float) -> datetime:
    if not isinstance(value, datetime):
        return datetime.fromtimestamp(value, UTC)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def shown_name(domain: str) -> str:
    """A domain name as people write it."""
    return unicode_domain(DomainName(domain))


def shown_address(email: str) -> str:
    """An address with its domain as people write it."""
    localpart, at, domain = email.rpartition("@")
    return f"{localpart}{at}{shown_name(domain)}"
