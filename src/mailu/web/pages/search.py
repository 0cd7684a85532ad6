"""Finding people, aliases and domains, in all domains that the visitor looks after."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session
from starlette.responses import Response

from mailu.directory.listing import Listing, PageRequest, page_of
from mailu.directory.models import Alias, Domain, User
from mailu.web.language import _
from mailu.web.lists import ALIASES, DOMAINS, USERS
from mailu.web.permission import MANAGER
from mailu.web.routes import Pages
from mailu.web.visit import Visit

pages = Pages()

_MOST = 20


@pages.show("search", "{admin}/search", MANAGER)
def search(visit: Visit) -> Response:
    """The first hits of each kind."""
    words = visit.query("q")[:200].strip()
    with visit.store.read() as session:
        found: dict[str, Any] = {
            "domains": _find(visit, session, words, select(Domain), DOMAINS, Domain.name),
            "users": _find(visit, session, words, select(User), USERS, User.domain_name),
            "aliases": _find(visit, session, words, select(Alias), ALIASES, Alias.domain_name),
        }
        return visit.render("admin/search.html", title=_("Search"), words=words, most=_MOST, **found)


def _find(
    visit: Visit, session: Session, words: str, statement: Select[Any], listing: Listing[Any], domain: Any
) -> list[Any]:
    if not words:
        return []
    if not visit.person.global_admin:
        statement = statement.where(domain.in_(visit.person.manages))
    return list(page_of(session, statement, listing, PageRequest(limit=_MOST, search=words)).items)
