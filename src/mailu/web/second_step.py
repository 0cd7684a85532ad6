"""What somebody who is signed in has to do before anything else, and what comes between password and session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailu.directory.roles import Person
from mailu.settings import Settings

if TYPE_CHECKING:
    from mailu.web.visit import Visit


def forced_page(visit: Visit) -> str | None:
    """The name of the page that comes first; None when nothing is in the way."""
    if visit.entry is not None and visit.entry.change_pw_next_login:
        return "pw_change"
    if must_have_second_factor(visit) and visit.person.email not in visit.snapshot.second_factors:
        return "second_factor"
    return None


def must_have_second_factor(visit: Visit) -> bool:
    """Whether SECOND_FACTOR asks it of this person."""
    return must_have(visit.settings, visit.person)


def must_have(settings: Settings, who: Person) -> bool:
    """The same of anybody."""
    match settings.second_factor:
        case "everyone":
            return True
        case "managers":
            return who.global_admin or bool(who.manages)
        case "admins":
            return who.global_admin
        case _:
            return False
