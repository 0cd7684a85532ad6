"""Why a change is refused. Each error carries what a page, the API or the command line needs to say so."""

from __future__ import annotations


class ChangeError(ValueError):
    """A change was refused, and nothing was written by it. ``str()`` is a sentence for people."""


class NotFound(ChangeError):
    """What is to be changed does not exist."""

    def __init__(self, kind: str, name: str | int) -> None:
        super().__init__(f"There is no {kind} {name}.")
        self.kind = kind
        self.name = name


class Conflict(ChangeError):
    """The name is taken. ``kind`` says by what: domain, alternative, relay, user, alias."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(f"{name} exists already: as {kind}.")
        self.name = name
        self.kind = kind


class Invalid(ChangeError):
    """A value breaks a rule. ``field`` is the column's name, ``reason`` the rule in words."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class LimitReached(ChangeError):
    """A domain, or the list of somebody, may have no more. ``limit``: ``max_users``, ``max_aliases``, ``senders``."""

    def __init__(self, domain: str, limit: str, maximum: int) -> None:
        what = {"max_users": "mailboxes", "senders": "senders on the list"}.get(limit, "aliases")
        super().__init__(f"{domain} may not have more than {maximum} {what}.")
        self.domain = domain
        self.limit = limit
        self.maximum = maximum
