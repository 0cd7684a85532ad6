"""Lists on pages: what the query asks for, the page of rows, and the links that lead on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlencode

from sqlalchemy import Select
from sqlalchemy.orm import Session

from mailu.directory.listing import Listing, PageRequest, page_of
from mailu.directory.models import Alias, Audit, Domain, ListedSender, Relay, Retired, TlsException, User

if TYPE_CHECKING:
    from mailu.web.visit import Visit

T = TypeVar("T")
ROWS = 50

USERS: Listing[User] = Listing(
    key=User.email,
    sorts={"email": User.email, "used": User.quota_bytes_used, "login": User.last_login, "created": User.created_at},
    searched=(User.email, User.displayed_name, User.comment),
)
DOMAINS: Listing[Domain] = Listing(key=Domain.name, sorts={"name": Domain.name}, searched=(Domain.name, Domain.comment))
ALIASES: Listing[Alias] = Listing(key=Alias.email, sorts={"email": Alias.email}, searched=(Alias.email, Alias.comment))
RELAYS: Listing[Relay] = Listing(key=Relay.name, sorts={"name": Relay.name}, searched=(Relay.name, Relay.comment))
SENDERS: Listing[ListedSender] = Listing(
    key=ListedSender.id,
    sorts={"sender": ListedSender.sender},
    searched=(ListedSender.sender, ListedSender.comment),
)
TLS_EXCEPTIONS: Listing[TlsException] = Listing(
    key=TlsException.name, sorts={"name": TlsException.name}, searched=(TlsException.name, TlsException.comment)
)
RETIRED: Listing[Retired] = Listing(key=Retired.id, sorts={"id": Retired.id}, searched=(Retired.email,))
AUDIT: Listing[Audit] = Listing(
    key=Audit.id, sorts={"id": Audit.id}, searched=(Audit.actor, Audit.action, Audit.subject)
)


@dataclass(frozen=True, slots=True)
class Shown(Generic[T]):
    """One page of a list, for the template."""

    items: list[T]
    query: str
    sort: str
    descending: bool
    previous: str | None
    next: str | None
    kept: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the query that every link keeps."""
    summary: str = ""

    def link(self, *, sort: str, descending: bool) -> str:
        """The same list in another order, from its beginning."""
        return _link({**self.kept, "q": self.query, "sort": sort, "down": "1" if descending else ""})


def shown_list(
    visit: Visit,
    session: Session,
    statement: Select[T],
    listing: Listing[T],
    *,
    sort: str,
    descending: bool = False,
    kept: Mapping[str, str] | None = None,
) -> Shown[T]:
    """The page of the list that the visitor's query asks for. Raises ListingError for one that there is not."""
    asked = visit.query("sort")
    order = asked or sort
    down = visit.query("down") == "1" if asked else descending
    request = PageRequest(
        limit=ROWS,
        sort=order,
        descending=down,
        search=visit.query("q")[:200],
        after=visit.query("after") or None,
        before=visit.query("before") or None,
    )
    page = page_of(session, statement, listing, request)
    same: dict[str, Any] = {**(kept or {}), "q": request.search, "sort": asked, "down": "1" if asked and down else ""}
    return Shown(
        items=list(page.items),
        query=request.search,
        sort=order,
        descending=down,
        previous=_link({**same, "before": page.previous}) if page.previous else None,
        next=_link({**same, "after": page.next}) if page.next else None,
        kept=kept or {},
    )


def _link(parameters: Mapping[str, str]) -> str:
    return "?" + urlencode({name: value for name, value in parameters.items() if value})
