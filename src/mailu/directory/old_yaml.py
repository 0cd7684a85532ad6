"""The document of the old ``config-update`` command: domains, users, aliases and managers in one YAML file.

Scripts still write it. What it names is created or brought up to date; with *delete_objects* what it does not name
goes: first users, then aliases, then domains. Limits of domains are set by it, not enforced on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mailu.directory import changes
from mailu.directory.changes import Actor, Invalid, values
from mailu.directory.models import Alias, Domain, Manager, User

_USER_FIELDS = frozenset(
    {
        "comment",
        "quota_bytes",
        "global_admin",
        "enable_imap",
        "enable_pop",
        "forward_enabled",
        "forward_destination",
        "reply_enabled",
        "reply_subject",
        "reply_body",
        "displayed_name",
        "spam_enabled",
        "spam_mark_as_read",
        "spam_threshold",
    }
)

_KEYS = {
    "domains": frozenset({"name", "max_users", "max_aliases", "max_quota_bytes"}),
    "users": frozenset({"localpart", "domain", "password_hash", "email", *_USER_FIELDS}),
    "aliases": frozenset({"localpart", "domain", "destination", "wildcard"}),
    "managers": frozenset({"domain", "user"}),
}


def apply(
    session: Session, document: object, *, actor: Actor, verbose: bool = False, delete_objects: bool = False
) -> list[str]:
    """Apply *document*, which is what the YAML file holds, and return lines for the person who runs it.

    *verbose* adds a line for each thing that was right already. Deleted users are retired, as everywhere. Raises
    ChangeError at the first thing that is refused, naming where it stands; then the transaction is to be rolled back.
    """
    run = _Run(session, actor, verbose)
    entries = {section: run.entries(document, section) for section in _KEYS}
    run.each(entries["domains"], run.domain)
    run.each(entries["users"], run.user)
    run.each(entries["aliases"], run.alias)
    if delete_objects:
        run.delete_others()
    run.each(entries["managers"], run.manager)
    return run.lines


_Entry = tuple[str, dict[str, Any]]
"""Where an entry stands, like ``users[3]``, and what it holds."""


@dataclass(slots=True)
class _Run:
    session: Session
    actor: Actor
    verbose: bool
    lines: list[str] = field(default_factory=list)
    _domains: set[str] = field(default_factory=set)
    _users: set[str] = field(default_factory=set)
    _aliases: set[str] = field(default_factory=set)

    def entries(self, document: object, section: str) -> list[_Entry]:
        """The entries of one section with the place where each stands, for errors."""
        if document is None:
            return []
        if not isinstance(document, Mapping):
            raise Invalid("document", "it has to be a mapping with domains, users, aliases and managers")
        listed = document.get(section) or []
        if not isinstance(listed, list):
            raise Invalid(section, "a list is needed")
        return [self._entry(section, f"{section}[{number}]", entry) for number, entry in enumerate(listed)]

    def _entry(self, section: str, where: str, entry: object) -> _Entry:
        if not isinstance(entry, Mapping):
            raise Invalid(where, "a mapping is needed")
        for unknown in sorted(str(key) for key in entry if key not in _KEYS[section]):
            self.lines.append(f"{where}: {unknown} is not known and was ignored.")
        return where, {key: value for key, value in entry.items() if key in _KEYS[section]}

    def each(self, entries: list[_Entry], handle: Callable[[dict[str, Any]], None]) -> None:
        """Handle the entries of a section; what is refused says which entry it is in."""
        for where, entry in entries:
            try:
                handle(entry)
            except Invalid as error:
                raise Invalid(f"{where}.{error.field}", error.reason) from None

    def domain(self, entry: dict[str, Any]) -> None:
        name = values.domain_name("name", entry.pop("name", ""))
        self._domains.add(name)
        if self.session.get(Domain, name) is None:
            changes.create_domain(self.session, name, actor=self.actor, **entry)
            self.lines.append(f"Added domain {name}.")
            return
        before = self._state(Domain, name, entry)
        changes.update_domain(self.session, name, actor=self.actor, **entry)
        self._tell("domain", name, before != self._state(Domain, name, entry))

    def user(self, entry: dict[str, Any]) -> None:
        email, given_hash = self._address(entry), entry.pop("password_hash", None)
        entry.pop("email", None)
        self._users.add(email)
        if self.session.get(User, email) is None:
            if given_hash is None:
                raise Invalid("password_hash", "a new user needs one")
            changes.create_user(
                self.session, email, password_hash=given_hash, actor=self.actor, enforce_limits=False, **entry
            )
            self.lines.append(f"Added user {email}.")
            return
        before = self._state(User, email, entry)
        changes.update_user(self.session, email, actor=self.actor, enforce_limits=False, **entry)
        changed = self._set_hash(email, given_hash)
        self._tell("user", email, changed or before != self._state(User, email, entry))

    def _set_hash(self, email: str, given_hash: Any) -> bool:
        user = self.session.get_one(User, email)
        if given_hash is None or given_hash == user.password:
            return False
        must_change = user.change_pw_next_login
        changes.set_password(
            self.session, email, password_hash=given_hash, actor=self.actor, change_pw_next_login=must_change
        )
        return True

    def alias(self, entry: dict[str, Any]) -> None:
        email = self._address(entry)
        self._aliases.add(email)
        fields = {"destination": entry.get("destination", ""), "wildcard": entry.get("wildcard", False)}
        if self.session.get(Alias, email) is None:
            changes.create_alias(self.session, email, actor=self.actor, enforce_limits=False, **fields)
            self.lines.append(f"Added alias {email}.")
            return
        before = self._state(Alias, email, fields)
        changes.update_alias(self.session, email, actor=self.actor, **fields)
        self._tell("alias", email, before != self._state(Alias, email, fields))

    def manager(self, entry: dict[str, Any]) -> None:
        domain = values.domain_name("domain", entry.get("domain", ""))
        email = str(values.address("user", f"{entry.get('user', '')}@{domain}"))
        if self.session.get(Manager, (domain, email)) is None:
            changes.add_manager(self.session, domain, email, actor=self.actor)
            self.lines.append(f"Added manager {email} of {domain}.")
        else:
            self._tell("manager", f"{email} of {domain}", changed=False)

    def delete_others(self) -> None:
        """Delete what was not named. A domain is named also by a user or an alias in it."""
        for email in self._unnamed(User.email, self._users):
            changes.delete_user(self.session, email, actor=self.actor)
            self.lines.append(f"Deleted user {email}.")
        for email in self._unnamed(Alias.email, self._aliases):
            changes.delete_alias(self.session, email, actor=self.actor)
            self.lines.append(f"Deleted alias {email}.")
        for name in self._unnamed(Domain.name, self._domains):
            changes.delete_domain(self.session, name, actor=self.actor)
            self.lines.append(f"Deleted domain {name}.")

    def _address(self, entry: dict[str, Any]) -> str:
        """The address of an entry, whose domain is created if it does not exist."""
        address = values.address("localpart", f"{entry.pop('localpart', '')}@{entry.pop('domain', '')}")
        self._domains.add(address.domain)
        if self.session.get(Domain, address.domain) is None:
            changes.create_domain(self.session, address.domain, actor=self.actor)
            self.lines.append(f"Added domain {address.domain}.")
        return str(address)

    def _unnamed(self, column: Any, named: set[str]) -> list[str]:
        return [name for name in self.session.scalars(select(column).order_by(column)) if name not in named]

    def _state(self, table: type[Domain | User | Alias], key: str, fields: Mapping[str, Any]) -> list[Any]:
        row = self.session.get_one(table, key)
        return [getattr(row, name, None) for name in fields]

    def _tell(self, kind: str, name: str, changed: bool) -> None:
        if changed:
            self.lines.append(f"Updated {kind} {name}.")
        elif self.verbose:
            self.lines.append(f"Left {kind} {name} as it is.")
