"""The directory: comparing what the source has with what is here, and writing it in one transaction.

- Nothing is here: everything is taken.
- What is here is what an earlier run has written, and nobody has changed it: it becomes what the source is now.
- It was changed here, or was made here: what is missing is added, what differs stays as it is here and is listed. A
  directory that no run has written must not hold anything that the source does not know: those are two servers.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from mailu.address import AddressError, DomainName, parse_address, parse_domain
from mailu.auth import passwords
from mailu.configuration import HASHING, KeyFolder
from mailu.directory import archive
from mailu.directory.archive import ArchiveError, Document, Plan, State, Tools, Verb
from mailu.directory.changes import Actor, note
from mailu.directory.changes.retiring import columns_of
from mailu.directory.models import ALWAYS, Retired, User
from mailu.directory.schema import ForeignSchema, SchemaError, revisions
from mailu.directory.store import NoSchema, Store, open_store
from mailu.identity.dkim_staging import STATES as KEY_STATES
from mailu.identity.dkim_staging import StagedKeys
from mailu.migrate.mailboxes import Home
from mailu.migrate.ownership import Owner, acting_as
from mailu.migrate.record import Record
from mailu.migrate.report import Report
from mailu.places import Places
from mailu.settings import Settings

ACTOR = Actor("mailu migrate", "command line")
_SECTIONS = ("domain", "user", "alias", "relay")
_MOST_LISTED = 200

Sections = Mapping[str, Sequence[Any]]


@dataclass(slots=True)
class Directory:
    """The directory of the new place, and what is to become of it."""

    settings: Settings
    owner: Owner
    record: Record
    report: Report
    orphans: list[Home] = field(default_factory=list)
    document: Document | None = None
    adds_only: bool = False
    _has_work: bool = False

    def prepare(self, sections: Sections, unusable: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        """Compare, and say what will be done. Changes nothing here; what stands in the way is refused in the report."""
        with self._store_as_it_is() as store:
            with store.read() as session:
                current = archive.load_state(session)
            try:
                self._choose(sections, current, store, unusable)
                with store.read() as session:
                    plan = archive.plan_import(session, self._document(), self._tools(), update=self.adds_only)
                    new_orphans = _not_known(session, self.orphans)
            except ArchiveError as error:
                self._refuse(error, sections)
                return
        self._has_work = bool(not plan.is_empty or new_orphans)
        if self._has_work:
            self.report.will_change("directory")
        self._tell(plan, current)

    def write(self) -> None:
        """Do it: all in one transaction, keys right after its commit."""
        if not self._has_work:
            return
        places = Places(self.settings.root)
        with acting_as(self.owner):
            store = open_store(self.settings.database_uri)
            try:
                store.upgrade()
                with StagedKeys(places.dkim) as keys:
                    with store.session() as session:
                        plan = archive.plan_import(session, self._document(), self._tools(), update=self.adds_only)
                        for key in plan.keys:
                            if key.key is not None:
                                state = next(state for state in KEY_STATES if state == key.key.state)
                                keys.put(DomainName(key.domain), key.selector, state, key.key.private_pem)
                        archive.apply_plan(session, plan, actor=ACTOR, retention_days=self.settings.retention_days)
                        _retire(session, self.orphans, self.settings.retention_days)
                    keys.commit()
                self._remember(store)
            finally:
                store.close()

    def _remember(self, store: Store) -> None:
        """What was merged into a directory in use can no longer be told from what was made here."""
        self.record.database_version = None if self.adds_only else store.data_version()

    # Which way

    def _choose(self, sections: Sections, current: State, store: Store, unusable: set[str]) -> None:
        is_empty = not any(current.section(name) for name in _SECTIONS)
        if is_empty:
            self.document = _document(_with_locked(sections, unusable, current))
            return
        if not self.record.is_new and self.record.database_version == store.data_version():
            self.document = _document(_with_locked(sections, unusable, current))
            return
        self.adds_only = True
        if self.record.is_new:
            self._refuse_strangers(sections, current)
        else:
            text = "changed here since the last run: what is missing is added, everything else stays as it is here"
            self.report.add("directory", "directory", "explained", text)
        self._list_differences(sections, current, store)
        self.document = _document(_only_missing(_with_locked(sections, unusable, current), current))

    def _refuse_strangers(self, sections: Sections, current: State) -> None:
        """Whoever is here already must be one of those that come."""
        for name, key in (("domain", "name"), ("user", "email"), ("alias", "email"), ("relay", "name")):
            coming = {_key(entry, key) for entry in sections.get(name, ())}
            for stranger in sorted(current.section(name).keys() - coming)[:_MOST_LISTED]:
                text = "is here already, and the source does not know it; delete it, or take over into another root"
                self.report.add("directory", f"{name} {stranger}", "refused", text)

    def _list_differences(self, sections: Sections, current: State, store: Store) -> None:
        with store.read() as session:
            whole = archive.plan_import(session, _document(sections), self._tools(), update=True)
        for change in whole.changes[:_MOST_LISTED]:
            if change.verb is Verb.UPDATE and change.name in current.section(change.section):
                names = ", ".join(name for name, _before, _after in change.fields())
                text = f"differs and stays as it is here ({names})"
                self.report.add("directory", f"{change.section} {change.name}", "explained", text)

    # Words

    def _refuse(self, error: ArchiveError, sections: Sections) -> None:
        for problem in error.problems:
            self.report.add("directory", _named(problem.path, sections), "refused", _placed(problem))
        if error.more:
            self.report.add("directory", "directory", "refused", "there may be more; put these right first")

    def _tell(self, plan: Plan, current: State) -> None:
        done = False
        for kind, verbs in plan.counts().items():
            for verb, number in verbs.items():
                done = True
                area = "keys" if kind == "dkim_key" else "directory"
                self.report.add(area, kind, "copied", f"{number} to {verb}", number)
        for notice in plan.notices:
            self.report.add("directory", "directory", "explained", notice)
        if not done:
            self.report.add("directory", "directory", "unchanged", "everything is here already", len(current.user))

    # Surroundings

    def _document(self) -> Document:
        assert self.document is not None
        return self.document

    def _tools(self) -> Tools:
        keys = KeyFolder(Places(self.settings.root), self.settings.dkim_selector)
        return Tools(HASHING, keys, lambda _domain: {})

    @contextmanager
    def _store_as_it_is(self) -> Iterator[Store]:
        """The database of the new place, or, where there is none yet, an empty one that goes away again.

        Raises schema.ForeignSchema where the earlier Mailu's own database is in its place.
        """
        with acting_as(self.owner), tempfile.TemporaryDirectory(prefix="mailu-migrate-") as folder:
            with closing(open_store(self.settings.database_uri)) as store:
                if _has_schema(store):
                    yield store
                    return
            with closing(open_store(f"sqlite:///{folder}/empty.db")) as empty:
                empty.upgrade()
                yield empty


def _has_schema(store: Store) -> bool:
    if store.is_sqlite and not Path(store.url.database or "").exists():
        return False
    try:
        store.data_version()
    except NoSchema:
        _refuse_foreign(store)
        return False
    if (found := store.revision()) != revisions()[-1]:
        raise SchemaError(f"the database of the new place has schema {found} still; run `mailu db upgrade` first")
    return True


def _refuse_foreign(store: Store) -> None:
    """An empty database is as good as none; that of an earlier Mailu is left alone."""
    with store.engine.connect() as connection:
        if "alembic_version" in inspect(connection).get_table_names():
            raise ForeignSchema(
                "the database of the new place is that of the earlier Mailu; choose another root or another database"
            )


def _document(sections: Sections) -> Document:
    return archive.document_of({name: list(sections.get(name, ())) for name in _SECTIONS})


def _with_locked(sections: Sections, unusable: set[str], current: State) -> Sections:
    """Users whose hash nobody can read get one that no password fits; those who are here keep what they have."""
    if not unusable:
        return sections
    users = []
    for entry in sections["user"]:
        if entry["email"] in unusable:
            is_here = entry["email"] in current.user
            entry = {**entry, "password": archive.HIDDEN if is_here else _no_password()}
        users.append(entry)
    return {**sections, "user": users}


def _no_password() -> str:
    return passwords.hash_password(secrets.token_hex(32))


def _only_missing(sections: Sections, current: State) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {
        "user": [entry for entry in sections.get("user", ()) if _key(entry, "email") not in current.user],
        "alias": [entry for entry in sections.get("alias", ()) if _key(entry, "email") not in current.alias],
        "relay": [entry for entry in sections.get("relay", ()) if _key(entry, "name") not in current.relay],
        "domain": [],
    }
    for entry in sections.get("domain", ()):
        present = current.domain.get(_key(entry, "name"))
        if present is None:
            found["domain"].append(entry)
            continue
        known = present.get("alternatives", {})
        names = [other for other in entry.get("alternatives", ()) if _name_of(other) not in known]
        found["domain"].append({"name": entry["name"], "alternatives": names})
    return found


def _key(entry: Any, name: str) -> str:
    """What an entry is known by, in canonical form; what is wrong with it is told when it is read."""
    given = entry.get(name) if isinstance(entry, Mapping) else None
    try:
        return str(parse_address(given)) if name == "email" else parse_domain(given)  # type: ignore[arg-type]
    except (AddressError, AttributeError, TypeError):
        return ""


def _name_of(alternative: Any) -> Any:
    return alternative["name"] if isinstance(alternative, Mapping) else alternative


def _named(path: str, sections: Sections) -> str:
    """The name of what a problem is about, out of its place in the document."""
    section, _, rest = path.partition("[")
    number = rest.partition("]")[0]
    if not number.isdigit() or section not in sections or int(number) >= len(sections[section]):
        return path or "directory"
    entry = sections[section][int(number)]
    name = entry.get("email") or entry.get("name") if isinstance(entry, Mapping) else None
    return f"{section} {name}" if name else path


def _placed(problem: archive.Problem) -> str:
    field_name = problem.path.rpartition("].")[2] if "]." in problem.path else ""
    line = f"line {problem.line}: " if problem.line else ""
    return f"{line}{field_name}: {problem.reason}" if field_name else f"{line}{problem.reason}"


def _retire(session: Session, orphans: Sequence[Home], retention_days: int) -> None:
    """Remember mail without an account as that of a deleted mailbox: it can be restored, and nobody else gets it."""
    today: date = datetime.now(UTC).date()
    for home in _not_known(session, orphans):
        session.add(
            Retired(
                email=home.email,
                home=home.folder,
                deleted_at=datetime.now(UTC),
                purge_after=today + timedelta(days=max(retention_days, 0)),
                record=_restorable(home),
            )
        )
        note(session, ACTOR, "user.delete", home.email, {"home": home.folder})


def _not_known(session: Session, orphans: Sequence[Home]) -> list[Home]:
    known = set(session.scalars(select(Retired.home))) | set(session.scalars(select(User.home)))
    return [home for home in orphans if home.folder not in known]


def _restorable(home: Home) -> dict[str, Any]:
    """What restoring it needs. It comes back without a password; the operator sets one."""
    localpart, _, domain = home.email.rpartition("@")
    user = User(email=home.email, localpart=localpart, domain_name=domain, password=_no_password(), home=home.folder)
    user.reply_startdate, user.reply_enddate = ALWAYS
    columns = {name: value for name, value in columns_of(user).items() if value is not None}
    return {"user": columns, "tokens": [], "fetches": [], "managed": [], "granted": [], "aliases": []}
