"""Carrying out a plan in one transaction, thousands of rows at a time.

What is deleted goes the way of every deletion (``directory.changes``): mailboxes are retired, so their mail stays for
a while. What is created or changed was checked by the same rules as everywhere when it was read, and is written in
bulk, each thing with its row in the audit trail. One mailbox after another would take minutes for a hundred thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from mailu.directory import changes
from mailu.directory.api_tokens import delete_api_token
from mailu.directory.archive.attributes import FETCH, KINDS, SENDER, SENDER_LISTS, TOKEN, Kind, Record
from mailu.directory.archive.plan import Change, Plan, Verb
from mailu.directory.changes import DEFAULT_RETENTION_DAYS, Actor
from mailu.directory.changes.journal import audit_row
from mailu.directory.changes.retiring import free_home
from mailu.directory.changes.senders import on_list
from mailu.directory.models import (
    Alias,
    Alternative,
    ApiToken,
    Audit,
    Base,
    Domain,
    DomainAccess,
    Fetch,
    ListedSender,
    Manager,
    Relay,
    Retired,
    TlsException,
    Token,
    User,
)
from mailu.directory.sender_lists import SERVER

_CHUNK = 2000
_TABLES: dict[str, type[Base]] = {
    "domain": Domain, "user": User, "alias": Alias, "relay": Relay, "sender": ListedSender,
    "tls_exception": TlsException, "api_token": ApiToken,
}  # fmt: skip


def apply_plan(session: Session, plan: Plan, *, actor: Actor, retention_days: int = DEFAULT_RETENTION_DAYS) -> None:
    """Make the directory what *plan* says, in a session of ``Store.session()``; keys are not its business.

    The plan was made in the same transaction. Raises ChangeError; then the transaction is to be rolled back.
    """
    _Writer(session, actor, retention_days).write(plan)


@dataclass(slots=True)
class _Writer:
    session: Session
    actor: Actor
    retention_days: int
    _notes: list[dict[str, Any]] = field(default_factory=list)
    _homes: set[str] | None = None
    _ids: dict[type[Base], set[int]] = field(default_factory=dict)
    _unnumbered: dict[type[Base], list[dict[str, Any]]] = field(default_factory=dict)

    def write(self, plan: Plan) -> None:
        self._delete(plan)
        self.session.flush()
        self.session.expunge_all()
        for section in KINDS:
            for verb, write in ((Verb.CREATE, self._create), (Verb.UPDATE, self._update)):
                mine = (each for each in plan.changes if each.section == section and each.verb is verb)
                for chunk in _chunks(mine):
                    write(section, chunk)
        for chunk in _chunks(each for each in plan.changes if each.verb is not Verb.DELETE):
            self._belongings(chunk)
        self._insert_unnumbered()
        counts = {name: {str(verb): number for verb, number in found.items()} for name, found in plan.counts().items()}
        if not plan.is_empty:
            self._note("config.import", "", counts)
        self._write_notes()

    # Deletions

    def _delete(self, plan: Plan) -> None:
        """What other things would refer to goes last."""
        gone = [each for each in plan.changes if each.verb is Verb.DELETE]
        for change in plan.changes:
            if change.section == "domain" and change.verb is Verb.UPDATE:
                self._drop_alternatives(change)
            if change.section == "alias" and change.verb is Verb.UPDATE:
                self._release(change)
        for each in (each for each in gone if each.section == "alias"):
            changes.delete_alias(self.session, each.name, actor=self.actor)
        for each in (each for each in gone if each.section == "user"):
            changes.delete_user(self.session, each.name, actor=self.actor, retention_days=self.retention_days)
        for each in (each for each in gone if each.section == "relay"):
            changes.delete_relay(self.session, each.name, actor=self.actor)
        for each in (each for each in gone if each.section == "sender"):
            entry = changes.find_sender(self.session, SERVER, each.name)
            if entry is not None:
                changes.unlist_sender(self.session, entry.id, actor=self.actor)
        for each in (each for each in gone if each.section == "tls_exception"):
            changes.end_tls_exception(self.session, each.name, actor=self.actor)
        for each in (each for each in gone if each.section == "api_token"):
            delete_api_token(self.session, int(each.name), actor=self.actor)
        for each in (each for each in gone if each.section == "domain"):
            changes.delete_domain(self.session, each.name, actor=self.actor, retention_days=self.retention_days)

    def _release(self, change: Change) -> None:
        """An alias that changes hands must not go with the owner it had."""
        if change.before.get("owner_email") != change.after.get("owner_email"):
            self.session.execute(update(Alias).where(Alias.email == change.name).values(owner_email=None))

    def _drop_alternatives(self, change: Change) -> None:
        for name in _keys(change.before, "alternatives") - _keys(change.after, "alternatives"):
            changes.delete_alternative(self.session, name, actor=self.actor)

    # Domains, users, aliases, relays

    def _create(self, section: str, chunk: list[Change]) -> None:
        kind, table = KINDS[section], _TABLES[section]
        rows = [
            {kind.key: _key(kind, each.name), **_columns(kind, each.after), **self._place(section, each)}
            for each in chunk
        ]
        if kind.key == "id":
            self._ids.setdefault(table, set())
        self._insert(table, rows)
        for change in chunk:
            self._note(f"{section}.create", change.name, _told(kind, change.after))

    def _place(self, section: str, change: Change) -> dict[str, Any]:
        """The columns that follow from the name, and who makes it."""
        if section in ("sender", "tls_exception"):
            return {"created_by": change.after.get("created_by") or self.actor.name[:255]}
        if section not in ("user", "alias"):
            return {}
        localpart, _, domain = change.name.rpartition("@")
        place: dict[str, Any] = {"localpart": localpart, "domain_name": domain}
        if section == "user":
            place["home"] = self._home(change)
        return place

    def _home(self, change: Change) -> str:
        if self._homes is None:
            self._homes = {
                home for column in (User.home, Retired.home) for home in self.session.scalars(select(column))
            }
        wanted = change.after.get("home")
        home = wanted if wanted is not None and wanted not in self._homes else free_home(change.name, self._homes)
        self._homes.add(home)
        return home

    def _update(self, section: str, chunk: list[Change]) -> None:
        kind, table = KINDS[section], _TABLES[section]
        if kind is SENDER:
            self._update_server_senders(chunk)
            return
        by_columns: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for change in chunk:
            after = {name: _value(kind, change.after, name) for name in _changed(kind, change)}
            if not after:
                continue
            by_columns.setdefault(tuple(sorted(after)), []).append({kind.key: _key(kind, change.name), **after})
            self._note_update(kind, section, change, after)
        for rows in by_columns.values():
            self.session.execute(update(table), rows)

    def _note_update(self, kind: Kind, section: str, change: Change, after: Mapping[str, Any]) -> None:
        told = {name: [_value(kind, change.before, name), value] for name, value in after.items() if name != "password"}
        if told:
            self._note(f"{section}.update", change.name, told)
        if "password" in after:
            forced = _value(kind, change.after, "change_pw_next_login")
            self._note("user.password", change.name, {"change_pw_next_login": forced})

    def _update_server_senders(self, chunk: list[Change]) -> None:
        """Their names are no keys: the same sender may stand on other lists."""
        for change in chunk:
            after = {name: _value(SENDER, change.after, name) for name in _changed(SENDER, change)}
            if after:
                mine = on_list(SERVER) & (ListedSender.sender == change.name)
                self.session.execute(update(ListedSender).where(mine).values(after))
                self._note_update(SENDER, "sender", change, after)

    # What belongs to them

    def _belongings(self, chunk: list[Change]) -> None:
        self._alternatives([each for each in chunk if each.section == "domain"])
        users = [each for each in chunk if each.section == "user"]
        self._senders([each for each in chunk if each.section in ("domain", "user")])
        self._managers(users)
        self._grants(users)
        self._owned(users, TOKEN, Token, "token")
        self._owned(users, FETCH, Fetch, "fetch")

    def _alternatives(self, chunk: list[Change]) -> None:
        rows = []
        for change in chunk:
            before, after = change.before.get("alternatives", {}), change.after.get("alternatives", {})
            for name, comment in after.items():
                if name not in before:
                    rows.append({"name": name, "domain_name": change.name, "comment": comment})
                    self._note("alternative.create", name, {"domain": change.name})
                elif before[name] != comment:
                    self._set_comment(Alternative, Alternative.name == name, comment)
                    self._note("alternative.update", name, {"comment": [before[name], comment]})
        self._insert(Alternative, rows)

    def _senders(self, chunk: list[Change]) -> None:
        rows = []
        for change in chunk:
            before, after = _listed(change.before), _listed(change.after)
            owner = {"user_email": None, "domain_name": None, f"{change.section}_{_OWNER[change.section]}": change.name}
            for sender in sorted(before.keys() - after.keys()):
                self.session.execute(delete(ListedSender).where(on_list(change.name), ListedSender.sender == sender))
                self._note("sender.delete", change.name, {"sender": sender, "verdict": before[sender][0]})
            for sender, (verdict, comment) in after.items():
                told = {"sender": sender, "comment": comment}
                if sender not in before:
                    row = {**owner, **told, "verdict": verdict, "created_by": self.actor.name[:255]}
                    rows.append(row)
                    self._note(f"sender.{verdict}", change.name, told)
                elif before[sender] != (verdict, comment):
                    mine = on_list(change.name) & (ListedSender.sender == sender)
                    self.session.execute(update(ListedSender).where(mine).values(verdict=verdict, comment=comment))
                    self._note("sender.update", change.name, {**told, "verdict": verdict})
        self._insert(ListedSender, rows)

    def _managers(self, chunk: list[Change]) -> None:
        rows = []
        for change in chunk:
            before, after = _keys(change.before, "manager_of"), _keys(change.after, "manager_of")
            for domain in sorted(before - after):
                mine = (Manager.user_email == change.name) & (Manager.domain_name == domain)
                self.session.execute(delete(Manager).where(mine))
                self._note("manager.remove", domain, {"user": change.name})
            for domain in sorted(after - before):
                rows.append({"domain_name": domain, "user_email": change.name})
                self._note("manager.add", domain, {"user": change.name})
        self._insert(Manager, rows)

    def _grants(self, chunk: list[Change]) -> None:
        rows = []
        for change in chunk:
            before, after = change.before.get("domain_accesses", {}), change.after.get("domain_accesses", {})
            for domain in sorted(before.keys() - after.keys()):
                self.session.execute(delete(DomainAccess).where(_grant(change.name, domain)))
                self._note("access.revoke", domain, {"user": change.name})
            for domain, comment in after.items():
                if domain not in before:
                    rows.append({"domain_name": domain, "user_email": change.name, "comment": comment})
                    self._note("access.grant", domain, {"user": change.name})
                elif before[domain] != comment:
                    self._set_comment(DomainAccess, _grant(change.name, domain), comment)
        self._insert(DomainAccess, rows)

    def _owned(self, chunk: list[Change], kind: Kind, table: Any, noun: str) -> None:
        created: list[tuple[Any, dict[str, Any]]] = []
        numbered: list[tuple[Any, dict[str, Any]]] = []
        for change in chunk:
            before = {each["id"]: each for each in change.before.get(kind.section, ())}
            after = change.after.get(kind.section, ())
            for number in before.keys() - {each["id"] for each in after}:
                self.session.execute(delete(table).where(table.id == number))
                self._note(f"{noun}.delete", change.name, {"id": number})
            for record in after:
                if record["id"] not in before:
                    row = {"user_email": change.name, **_columns(kind, record)}
                    (numbered if self._is_free(table, record["id"]) else created).append((record["id"], row))
                    self._note(f"{noun}.create", change.name, _told(kind, record))
                elif record != before[record["id"]]:
                    self._update_owned(kind, table, noun, change.name, before[record["id"]], record)
        self._insert(table, [{"id": number, **row} for number, row in numbered])
        self._unnumbered.setdefault(table, []).extend(row for _, row in created)

    def _is_free(self, table: Any, number: int | None) -> bool:
        """Whether the wanted number is nobody's; whoever's it is keeps it, and the new one gets another."""
        if number is None:
            return False
        if table not in self._ids:
            self._ids[table] = set(self.session.scalars(select(table.id)))
        free = number not in self._ids[table]
        self._ids[table].add(number)
        return free

    def _update_owned(self, kind: Kind, table: Any, noun: str, email: str, before: Record, after: Record) -> None:
        changed = {
            name: _value(kind, after, name)
            for name in kind.attributes
            if not kind.attributes[name].fact and before.get(name) != after.get(name)
        }
        self.session.execute(update(table), [{"id": after["id"], **changed}])
        told = {name: [_value(kind, before, name), value] for name, value in changed.items() if name != "password"}
        if "password" in changed:
            told["password"] = ["", ""]
        self._note(f"{noun}.update", email, {"id": after["id"], **told})

    def _set_comment(self, table: Any, condition: Any, comment: str) -> None:
        self.session.execute(update(table).where(condition).values(comment=comment))

    # Rows

    def _insert(self, table: Any, rows: list[dict[str, Any]]) -> None:
        """Rows with the same columns go together: a column that is not named gets its default."""
        by_columns: dict[frozenset[str], list[dict[str, Any]]] = {}
        for row in rows:
            by_columns.setdefault(frozenset(row), []).append(row)
        for alike in by_columns.values():
            self.session.execute(insert(table), alike)

    def _note(self, action: str, subject: str, detail: Mapping[str, Any]) -> None:
        self._notes.append(audit_row(self.actor, action, subject, detail))
        if len(self._notes) >= _CHUNK:
            self._write_notes()

    def _write_notes(self) -> None:
        if self._notes:
            self.session.execute(insert(Audit), self._notes)
            self._notes.clear()

    def _insert_unnumbered(self) -> None:
        """What gets the next free number comes after all that has one, so that neither takes the other's."""
        self._correct_sequences()
        for table, rows in self._unnumbered.items():
            self._insert(table, rows)

    def _correct_sequences(self) -> None:
        """PostgreSQL counts on from where it was, whatever numbers were written beside that."""
        if self.session.get_bind().dialect.name != "postgresql":
            return
        for table in self._ids:
            name = table.__tablename__
            highest = self.session.scalar(select(func.max(table.__table__.c.id)))
            if highest:
                statement = text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :highest)")
                self.session.execute(statement, {"name": name, "highest": highest})


def _chunks(found: Iterable[Change]) -> Iterator[list[Change]]:
    iterator = iter(found)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _columns(kind: Kind, record: Record) -> dict[str, Any]:
    """All columns of a new row; facts only where they are known, so that dates get their usual default."""
    return {
        name: record.get(name, attribute.default)
        for name, attribute in kind.attributes.items()
        if name in record or not attribute.fact
    }


def _value(kind: Kind, record: Record, name: str) -> Any:
    return record.get(name, kind.attributes[name].default)


def _changed(kind: Kind, change: Change) -> list[str]:
    return [
        name
        for name, attribute in kind.attributes.items()
        if not attribute.fact and change.before.get(name) != change.after.get(name)
    ]


def _key(kind: Kind, name: str) -> str | int:
    """The primary key of the row that is called *name*."""
    return int(name) if kind.key == "id" else name


def _told(kind: Kind, record: Record) -> dict[str, Any]:
    """What the audit trail says of something new."""
    known = kind.attributes
    return {name: value for name, value in record.items() if name in known and not known[name].secret}


_OWNER = {"user": "email", "domain": "name"}
"""What stands behind the section's name in the column that says whose list it is."""


def _listed(record: Record) -> dict[str, tuple[str, str]]:
    """Verdict and comment of each sender on the lists of a domain or a user."""
    return {
        sender: (verdict, comment)
        for name, verdict in SENDER_LISTS.items()
        for sender, comment in record.get(name, {}).items()
    }


def _keys(record: Record, name: str) -> set[str]:
    return set(record.get(name, ()))


def _grant(email: str, domain: str) -> Any:
    return (DomainAccess.user_email == email) & (DomainAccess.domain_name == domain)
