"""From the rows of an earlier database to a configuration document, in which every value fits the rules of today.

What an earlier release let be stored and this one does not is mended where nothing is lost by it, left out where it
refers to nothing or never had an effect, and each time said so. Where only the operator can decide (two addresses that
are one without regard to case, a user without a domain) it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mailu.address import AddressError, parse_address, parse_domain
from mailu.auth import passwords
from mailu.directory.archive.attributes import ALIAS, DOMAIN, FETCH, RELAY, TOKEN, USER, Kind
from mailu.directory.changes import Invalid, values
from mailu.directory.models import Alias, Base, Domain, Fetch, Relay, Token, User
from mailu.migrate.database import Row, Tables
from mailu.migrate.report import Report
from mailu.migrate.rows import plain_value

_TABLES: dict[str, type[Base]] = {
    "domain": Domain, "user": User, "alias": Alias, "relay": Relay, "tokens": Token, "fetches": Fetch,
}  # fmt: skip
_ESSENTIAL = {"tokens": {"password"}, "fetches": {"protocol", "host", "port", "username", "password"}}
_OLD_ONLY = {
    "user": frozenset({"localpart", "domain_name", "address_type", "email"}),
    "alias": frozenset({"localpart", "domain_name", "address_type", "email"}),
    "domain": frozenset({"name"}),
    "relay": frozenset({"name"}),
    "alternative": frozenset({"name", "domain_name", "comment", "created_at", "updated_at"}),
    "token": frozenset({"id", "user_email"}),
    "fetch": frozenset({"id", "user_email"}),
    "manager": frozenset({"domain_name", "user_email"}),
    "domain_access": frozenset({"id", "domain_name", "user_email", "comment", "created_at", "updated_at"}),
}
_KINDS: dict[str, Kind] = {
    "user": USER, "alias": ALIAS, "domain": DOMAIN, "relay": RELAY, "token": TOKEN, "fetch": FETCH,
}  # fmt: skip

Entry = dict[str, Any]


@dataclass(slots=True)
class Content:
    """The document, and how people and domains were written at the source."""

    sections: dict[str, list[Entry]]
    spelled: dict[str, str]
    """Canonical address of each user: as it stood in the database."""
    unusable_hashes: set[str] = field(default_factory=set)
    """Users whose password nobody can verify."""


def build_content(tables: Tables, report: Report) -> Content:
    """Build the document. What is wrong or left out is in *report*; with something refused there the document is not
    to be used."""
    return _Builder(tables, report).build()


@dataclass(slots=True)
class _Builder:
    tables: Tables
    report: Report
    domains: dict[str, Entry] = field(default_factory=dict)
    users: dict[str, Entry] = field(default_factory=dict)
    aliases: dict[str, Entry] = field(default_factory=dict)
    relays: dict[str, Entry] = field(default_factory=dict)
    spelled: dict[str, str] = field(default_factory=dict)
    unusable: set[str] = field(default_factory=set)
    taken: dict[str, str] = field(default_factory=dict)
    """Canonical addresses, and whose they are."""

    def build(self) -> Content:
        self._unknown_parts()
        self._domains()
        self._users()
        self._aliases()
        self._owned("token", "tokens", TOKEN)
        self._owned("fetch", "fetches", FETCH)
        self._rights()
        sections = {
            "domain": list(self.domains.values()),
            "user": list(self.users.values()),
            "alias": list(self.aliases.values()),
            "relay": list(self.relays.values()),
        }
        return Content(sections, self.spelled, self.unusable)

    def _say(self, name: str, text: str, *, refused: bool = False) -> None:
        self.report.add("directory", name, "refused" if refused else "explained", text)

    def _unknown_parts(self) -> None:
        for name in self.tables.other_tables:
            self._say(f"table {name}", "not taken: nothing is known of this table")
        for table, rows in self.tables.rows.items():
            if table not in _OLD_ONLY or not rows:
                continue
            known = _OLD_ONLY[table] | (_KINDS[table].attributes.keys() if table in _KINDS else set())
            for column in sorted(rows[0].keys() - known):
                if any(row[column] not in (None, "", 0, False) for row in rows):
                    self._say(f"column {table}.{column}", "not taken: nothing is known of this column")
        if values := self.tables.of("config"):
            names = ", ".join(sorted(str(row.get("name")) for row in values))
            self._say("table config", f"not taken: nothing reads these values ({names})")

    # Names

    def _domains(self) -> None:
        """Domains, their other names, relayed domains: one name space."""
        taken: dict[str, str] = {}
        for row in self._named("domain", "name", taken):
            self.domains[row["name"]] = {"name": row["name"], **self._values(DOMAIN, row, f"domain {row['name']}")}
        for row in self._named("alternative", "name", taken):
            owner = self._canonical_domain(row.get("domain_name"))
            if owner not in self.domains:
                self._say(f"alternative {row['name']}", f"left out: there is no domain {row.get('domain_name')}")
                continue
            comment = self._comment(row, f"alternative {row['name']}")
            self.domains[owner].setdefault("alternatives", []).append({"name": row["name"], "comment": comment})
        for row in self._named("relay", "name", taken):
            self.relays[row["name"]] = {"name": row["name"], **self._values(RELAY, row, f"relay {row['name']}")}

    def _named(self, table: str, key: str, taken: dict[str, str]) -> Iterable[Row]:
        """Rows with a canonical, unique name. Those that clash are refused together."""
        for row in sorted(self.tables.of(table), key=lambda row: str(row[key])):
            given = str(row[key])
            try:
                name = str(parse_address(given)) if key == "email" else parse_domain(given)
            except AddressError as error:
                self._say(f"{table} {given}", f"{error}; rename or delete it at the source", refused=True)
                continue
            if name in taken:
                self._clash(table, given, taken[name])
                continue
            taken[name] = f"{table} {given}"
            yield {**row, key: name}

    def _clash(self, table: str, given: str, other: str) -> None:
        kind, _, spelled = other.partition(" ")
        if kind == "user" and table == "alias" and spelled == given:
            self._say(f"alias {given}", "left out: it never had an effect, because a user has this address")
            return
        reason = "both are one name without regard to case" if spelled != given else "both have one name"
        text = f"clashes with {other}: {reason}; rename or delete one of them at the source"
        self._say(f"{table} {given}", text, refused=True)

    def _canonical_domain(self, given: Any) -> str | None:
        try:
            return parse_domain(str(given))
        except AddressError:
            return None

    def _canonical_user(self, given: Any) -> str | None:
        try:
            return str(parse_address(str(given)))
        except AddressError:
            return None

    # People

    def _addresses(self, table: str) -> Iterable[Row]:
        """Users or aliases whose domain is there."""
        for row in self._named(table, "email", self.taken):
            domain = row["email"].rpartition("@")[2]
            if domain in self.domains:
                yield row
            else:
                self._say(f"{table} {row['email']}", f"there is no domain {domain} at the source", refused=True)

    def _users(self) -> None:
        by_canonical = {self._canonical_user(row["email"]): str(row["email"]) for row in self.tables.of("user")}
        for row in self._addresses("user"):
            email = row["email"]
            entry = {"email": email, **self._values(USER, row, f"user {email}")}
            entry["password"] = self._password(email, row["password"])
            self._mend_user(entry)
            self.users[email] = entry
            self.spelled[email] = by_canonical[email]

    def _password(self, email: str, stored: Any) -> str:
        text = str(stored or "")
        if passwords.is_supported(text):
            return passwords.without_prefix(text)
        self.unusable.add(email)
        self.report.add(
            "directory", f"user {email}", "warning", "the stored password is no hash of a known kind; set another one"
        )
        return text

    def _mend_user(self, entry: Entry) -> None:
        name = f"user {entry['email']}"
        if entry.get("forward_enabled") and not entry.get("forward_destination"):
            entry["forward_enabled"] = False
            self._say(name, "the forward is switched off: it had no address to go to")
        first, last = entry.get("reply_startdate"), entry.get("reply_enddate")
        if first and last and first > last:
            entry.update(reply_enabled=False, reply_startdate=None, reply_enddate=None)
            self._say(name, "the automatic reply is switched off: its last day came before the first")

    def _aliases(self) -> None:
        for row in self._addresses("alias"):
            email = row["email"]
            owner = row.get("owner_email")
            entry = {"email": email, **self._values(ALIAS, {**row, "owner_email": None}, f"alias {email}")}
            if not entry.get("destination"):
                self._say(f"alias {email}", "left out: it has no destination")
            elif not entry.get("wildcard") and entry["destination"] == [email]:
                self._say(f"alias {email}", "left out: it stands for itself alone, which refuses all its mail")
            elif owner and self._canonical_user(owner) not in self.users:
                self._say(f"alias {email}", f"left out: it belongs to {owner}, and there is no such user")
            else:
                self.aliases[email] = entry | ({"owner_email": self._canonical_user(owner)} if owner else {})

    def _owned(self, table: str, section: str, kind: Kind) -> None:
        for row in sorted(self.tables.of(table), key=lambda row: row["id"]):
            email, name = self._canonical_user(row["user_email"]), f"{table} {row['id']}"
            if email not in self.users:
                self._say(name, f"left out: it belongs to {row['user_email']}, and there is no such user")
                continue
            values = self._values(kind, row, f"{name} of {email}")
            if values is None or _ESSENTIAL[section] - values.keys():
                self._say(name, f"left out: it is of no use to {email} as it is")
                continue
            if section == "tokens" and not passwords.is_supported(values["password"]):
                self._say(name, f"left out: the token of {email} is no hash of a known kind")
                continue
            self.users[email].setdefault(section, []).append({"id": row["id"], **values})

    def _rights(self) -> None:
        for row in self.tables.of("manager"):
            if pair := self._pair(row, "manager"):
                self.users[pair[1]].setdefault("manager_of", []).append(pair[0])
        for row in self.tables.of("domain_access"):
            if pair := self._pair(row, "grant"):
                comment = self._comment(row, f"grant of {pair[1]}")
                accesses = self.users[pair[1]].setdefault("domain_accesses", [])
                accesses.append({"domain": pair[0], "comment": comment})

    def _pair(self, row: Row, what: str) -> tuple[str, str] | None:
        domain, user = self._canonical_domain(row["domain_name"]), self._canonical_user(row["user_email"])
        if domain in self.domains and user in self.users:
            return domain, user
        self._say(f"{what} {row['user_email']} of {row['domain_name']}", "left out: one of them is not there")
        return None

    # Values

    def _values(self, kind: Kind, row: Mapping[str, Any], name: str) -> Entry:
        """The attributes that differ from NULL, each by its rule; what a rule refuses is mended."""
        table = _TABLES[kind.section]
        found: Entry = {}
        for attribute in kind.attributes.values():
            if attribute.name not in row or attribute.name == "home":
                continue
            value = plain_value(table, attribute.name, row[attribute.name])
            if value is None:
                continue
            try:
                checked = attribute.rule(attribute.name, value)
                found[attribute.name] = list(checked) if isinstance(checked, tuple) else checked
            except Invalid as error:
                if (mended := self._mended(attribute, value, name, error.reason)) is not None:
                    found[attribute.name] = mended
        return found

    def _mended(self, attribute: Any, value: Any, name: str, reason: str) -> Any:
        """The nearest value that the rule takes, or None for the default."""
        candidates: list[Any] = []
        if attribute.name == "reply_body":
            candidates.append(values.shortened_reply(value))
        elif isinstance(value, str):
            candidates.append("".join(char if char.isprintable() else " " for char in value)[:255].strip())
        elif isinstance(value, list):
            candidates.append([item for item in value if self._passes(attribute, [item])])
        elif isinstance(value, int) and not isinstance(value, bool):
            candidates += [max(value, 0), min(max(value, 0), 100)]
        for candidate in candidates:
            if self._passes(attribute, candidate):
                self._say(name, f"{attribute.name} is mended, because {reason}")
                checked = attribute.rule(attribute.name, candidate)
                return list(checked) if isinstance(checked, tuple) else checked
        self._say(name, f"{attribute.name} has its default now, because {reason}")
        return None

    def _passes(self, attribute: Any, value: Any) -> bool:
        try:
            attribute.rule(attribute.name, value)
        except Invalid:
            return False
        return True

    def _comment(self, row: Row, name: str) -> str:
        return str(self._values(DOMAIN, {"comment": row.get("comment")}, name).get("comment", ""))
