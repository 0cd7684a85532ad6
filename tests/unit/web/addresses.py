"""The route table as visitors see it: every page with an address that leads to something, and whom it lets in."""

from __future__ import annotations

from mailu.settings import Settings, load_settings
from mailu.web.pages import every_page
from mailu.web.routes import Page, place

PEOPLE = {
    "admin": "admin@example.test",
    "manager": "manager@example.test",
    "user": "user@example.test",
    "other_manager": "manager@other.test",
    "disabled": "disabled@example.test",
}
VALUES = {"{email}": PEOPLE["user"], "{domain}": "example.test", "{id}": "1", "{name}": "style.css", "{code}": "de",
          "{rest}": "nowhere"}  # fmt: skip
SPECIAL = {
    "alias_edit": "team@example.test",
    "alias_delete": "team@example.test",
    "alternative_delete": "alternative.test",
    "relay_edit": "relayed.test",
    "relay_delete": "relayed.test",
    "anonymous_enable": "shop.word@example.test",
    "anonymous_disable": "shop.word@example.test",
    "anonymous_delete": "shop.word@example.test",
}
ROLES = ("anonymous", "user", "manager", "other_manager", "admin", "disabled")
# Which of the roles each permission lets in, where the page is about the user, the domain and the things above.
ALLOWED = {
    "anyone": set(ROLES),
    "signed in": {"user", "manager", "other_manager", "admin"},
    "global administrator": {"admin"},
    "manager of any domain": {"manager", "other_manager", "admin"},
    "manager of the domain": {"manager", "admin"},
    "manager of the address's domain": {"manager", "admin"},
    "the user, or who may act for them": {"user", "manager", "admin"},
    "manager who may act for the user": {"manager", "admin"},
    "may act for the token's owner": {"user", "manager", "admin"},
    "may act for the fetched account's owner": {"user", "manager", "admin"},
    "owner of the anonymous alias": {"user"},
    "may use anonymous aliases": {"user", "manager", "other_manager", "admin"},
}
NO_PAGES = frozenset({"logout", "static", "favicon", "zone", "old_ui", "nowhere",
                      "alternative_create", "manager_create", "admin_create", "grant_create"})  # fmt: skip
"""Looked at, these end the session, are files, or lead away."""


def address(page: Page, web_admin: str = "/admin") -> str:
    """Where *page* is, about the person, the domain and the things that all tests know."""
    path = place(page, web_admin).replace(":path", "").replace(":int", "")
    for name, value in VALUES.items():
        special = SPECIAL.get(page.name) if name in ("{email}", "{domain}") else None
        path = path.replace(name, special or value)
    return path


def looked_at(settings: Settings | None = None) -> list[Page]:
    """Every page that can be looked at, of all that there are or of those that *settings* want."""
    known = settings or load_settings(None, {"SECRET_KEY": "0123456789ABCDEF", "DOMAIN": "example.test",
                                             "HOSTNAMES": "mail.example.test"})  # fmt: skip
    shown = every_page(known, everywhere=settings is None)
    return [page for page in shown if "GET" in page.methods and page.name not in NO_PAGES]
