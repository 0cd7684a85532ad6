"""How much mail there was: of the server, for administrators; of a domain, for who looks after it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.responses import Response

from mailu.directory.day_counts import SERVER
from mailu.directory.mail_counts import counts_of_days
from mailu.directory.models import today
from mailu.web.charts import Charts, mail_charts
from mailu.web.language import _
from mailu.web.pages.domains import domain_of, part_of
from mailu.web.permission import GLOBAL_ADMIN, MANAGES_DOMAIN
from mailu.web.routes import Pages
from mailu.web.visit import Visit

pages = Pages()

MONTH = 30
_SPANS = {MONTH: 1, 90: 1, 364: 7}
"""How many days can be looked at, and how many of them make a bar."""


def charts_of(visit: Visit, domain: str = SERVER, days: int = MONTH) -> Charts:
    """The last *days*, today included."""
    last = today()
    with visit.store.read() as session:
        found = counts_of_days(session, first=last - timedelta(days - 1), last=last, domain=domain)
    return mail_charts(found, days_a_bar=_SPANS[days], elsewhere=visit.settings.counted_elsewhere)


@pages.show("statistics", "{admin}/statistics", GLOBAL_ADMIN)
def of_server(visit: Visit) -> Response:
    """The whole server."""
    return _page(visit, "statistics", SERVER, title=_("Statistics"))


@pages.show("domain_statistics", "{admin}/statistics/{domain}", MANAGES_DOMAIN)
def of_domain(visit: Visit) -> Response:
    """One domain."""
    name = domain_of(visit)
    return _page(visit, "domain_statistics", name, **part_of(visit, name, "domain_statistics"))


def _page(visit: Visit, page: str, about: str, **context: Any) -> Response:
    asked = visit.query("days")
    days = int(asked) if asked in map(str, _SPANS) else MONTH
    named = {"domain": about} if about else {}
    names = {MONTH: _("30 days"), 90: _("90 days"), 364: _("52 weeks")}
    spans = [(names[number], visit.url(page, days=number, **named), number == days) for number in _SPANS]
    return visit.render("admin/statistics.html", charts=charts_of(visit, about, days), spans=spans, **context)
