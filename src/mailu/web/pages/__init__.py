"""The pages, one file a group. ``every_page`` is the table of contents."""

from __future__ import annotations

from mailu.settings import Settings
from mailu.web.pages import (
    account,
    administrators,
    aliases,
    anonymous,
    client,
    dns,
    domains,
    fetches,
    home,
    joining,
    mail_rules,
    operations,
    relays,
    search,
    second_factor,
    senders,
    sign_on,
    static,
    statistics,
    tls_exceptions,
    tokens,
    users,
)
from mailu.web.routes import Page

_SIGN_ON = (sign_on, static)
_OWN = (home, second_factor, account, mail_rules, senders, tokens, anonymous, client)
_JOINING = (joining,)
_MAIL = (search, domains, dns, statistics, users, aliases, relays, administrators)
_SERVER = (operations, tls_exceptions)
_FETCHED = (fetches,)


def every_page(settings: Settings, *, everywhere: bool = False) -> list[Page]:
    """All pages that these settings want; *everywhere*: also those that they do not, so that they have addresses."""
    groups = list(_SIGN_ON)
    if settings.admin or everywhere:
        groups += [*_OWN, *_JOINING, *_MAIL, *_SERVER]
        if settings.fetchmail_enabled or everywhere:
            groups += _FETCHED
    return [*(page for group in groups for page in group.pages.found), static.NOWHERE]
