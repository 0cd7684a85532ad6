"""Taking over: first everything is looked at, then, unless something is refused, everything is done.

Files come first, then the directory in one transaction, then ``mailu.env``: an interrupted run leaves a place that
nothing would start from, and the next one goes on where it ended.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from mailu.directory import archive
from mailu.directory.archive import ArchiveError
from mailu.directory.schema import SchemaError
from mailu.directory.uris import BadDatabaseUri
from mailu.migrate import environment, keys, mailboxes, others, overrides, queue
from mailu.migrate.content import Content, build_content
from mailu.migrate.database import CannotRead, read_database
from mailu.migrate.directory import Directory
from mailu.migrate.mailboxes import Mail
from mailu.migrate.ownership import NOBODY_ELSE, owner_of
from mailu.migrate.parts import Look, take
from mailu.migrate.queue import WaitingMail
from mailu.migrate.record import Record, digest
from mailu.migrate.report import Report
from mailu.migrate.source import Source
from mailu.migrate.trees import make_folder, write_text
from mailu.places import Places
from mailu.settings import Settings, SettingsError, load_settings
from mailu.settings.envfile import parse_env

_SPARE_BYTES = 100_000_000
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """The new place: its root, and the settings file of it, which need not be there yet."""

    root: Path
    env_file: Path
    environ: Mapping[str, str]


@dataclass(slots=True)
class Takeover:
    """One run."""

    source: Source
    target: Target
    record: Record
    with_queue: bool = False
    """The old server is stopped, and what waits in its queue is to come along."""
    report: Report = field(default_factory=Report)
    _env_text: str = ""
    _variables: dict[str, str] = field(default_factory=dict)
    _from_overrides: dict[str, str] = field(default_factory=dict)
    _overrides: dict[str, str] = field(default_factory=dict)
    _settings: Settings | None = None
    _directory: Directory | None = None
    _mail: Mail = field(default_factory=Mail)
    _others: list[tuple[str, Look]] = field(default_factory=list)
    _queue: WaitingMail | None = None

    def look(self) -> Report:
        """Look at everything and compare. Nothing is changed anywhere."""
        if not self._is_another_place():
            return self.report
        self._look_at_overrides()
        self._look_at_settings()
        if self._settings is None:
            return self.report
        content = self._read_directory()
        self._look_at_mail(content)
        self._look_at_others()
        if content is not None and not self.report.refused:
            self._look_at_directory(content)
        self._look_at_room()
        return self.report

    def take(self, told: Progress) -> Report:
        """Do what ``look`` has found. Raises RuntimeError when something was refused."""
        if self.report.refused or self._settings is None or self._directory is None:
            raise RuntimeError("something is refused")
        if not self.report.pending:
            return self.report
        places = Places(self._settings.root)
        self.record.source, self.record.identity = self.source.name, self.source.identity
        make_folder(places.root, 0o755, NOBODY_ELSE)
        self.record.save()
        told("copying mail")
        mailboxes.take_mail(self._mail, self.record, self.report)
        told("copying the other files")
        for _area, look in self._others:
            if others.is_taken(look):
                self._take_part(look)
        self._write_overrides(places)
        self.record.save()
        told("writing the directory")
        admin = owner_of("mailu")
        make_folder(places.data, 0o750, admin)
        make_folder(places.dkim, 0o700, admin)
        self._directory.write()
        self.record.save()
        self._write_settings()
        self.record.save()
        if self._queue is not None:
            told("taking over mail that waits")
            queue.take_queue(self._queue, places.mail_queue, self.record)
        os.sync()
        return self.report

    # Where

    def _is_another_place(self) -> bool:
        root = self.source.root
        if root is not None and root.resolve() == self.target.root.resolve():
            text = f"the source is the new root itself; choose another one with --root, such as {root}-new"
            self.report.add("other", str(root), "refused", text)
            return False
        if not self.record.is_new and self.record.identity != self.source.identity:
            text = f"{self.target.root} was taken over from {self.record.source}, which is another server (SECRET_KEY, "
            text += "DOMAIN); one root takes over from one source"
            self.report.add("other", self.source.name, "refused", text)
            return False
        return True

    # Overrides and settings

    def _look_at_overrides(self) -> None:
        folder = self.source.folder("overrides")
        if folder is None:
            return
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = path.relative_to(folder).as_posix()
            try:
                override = overrides.translate(name, path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                self.report.add("overrides", name, "explained", f"not taken: it cannot be read as text ({error})")
                continue
            for outcome, text in override.sentences:
                self.report.add("overrides", name, outcome, text)  # type: ignore[arg-type]
            if not override.sentences:
                self.report.add("overrides", name, "explained", "nothing is in it")
            self._from_overrides |= override.variables
            if override.kept is not None:
                self._overrides[name] = override.kept
                self._look_at_override(name, override.kept)

    def _look_at_override(self, name: str, text: str) -> None:
        match self._override_here(name, text):
            case "same":
                return
            case "changed":
                self.report.add("overrides", name, "warning", "changed here: left as it is here")
                del self._overrides[name]
            case _:
                self.report.will_change("overrides")

    def _override_here(self, name: str, text: str) -> str:
        """How the file stands here: ``same``, ``changed`` by somebody, or to be written."""
        path = Places(self.target.root).overrides / name
        if not path.is_file():
            return "absent"
        present = path.read_bytes()
        if present == text.encode():
            return "same"
        return "ours" if self.record.files.get(f"overrides/{name}") == digest(present) else "changed"

    def _look_at_settings(self) -> None:
        lines = environment.account_for(self.source.env) if self.source.env is not None else []
        for line in lines:
            self.report.add("settings", line.name, line.outcome, line.text)  # type: ignore[arg-type]
        for problem in self.source.env.problems if self.source.env else ():
            self.report.add("settings", "mailu.env", "refused", problem)
        wanted = {name: value for line in lines for name, value in line.variables.items()} | self._from_overrides
        present = self._present_settings()
        if present is None and not lines:
            text = f"{self.target.env_file} is not there, and the source has no settings; write it first"
            self.report.add("settings", "mailu.env", "refused", text)
            return
        self._variables = wanted
        self._env_text = self._new_text(lines, wanted, present)
        if self._env_text != present:
            self.report.will_change("settings")
        if not self.report.refused:
            self._load()

    def _present_settings(self) -> str | None:
        try:
            return self.target.env_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def _new_text(self, lines: list[environment.Line], wanted: dict[str, str], present: str | None) -> str:
        if present is None:
            text = self.source.env_file.read_text(encoding="utf-8-sig") if self.source.env_file else ""
            return environment.first_text(text, lines, {"ROOT": str(self.target.root), **self._from_overrides})
        there = parse_env(present).values
        changes = {}
        for name, value in wanted.items():
            if there.get(name, "") == value:
                continue
            if name in there and not self.record.is_new and there[name] != self.record.variables.get(name):
                self.report.add("settings", name, "explained", "changed here since the last run: stays as it is here")
            elif value or name in there:
                changes[name] = value
        return environment.changed_text(present, changes) if changes else present

    def _load(self) -> None:
        """Read the new file as the services will."""
        with tempfile.TemporaryDirectory(prefix="mailu-migrate-") as folder:
            file = Path(folder, "mailu.env")
            write_text(file, self._env_text, mode=0o600, owner=NOBODY_ELSE)
            try:
                self._settings = load_settings(file, {**self.target.environ, "ROOT": str(self.target.root)})
            except SettingsError as error:
                for problem in error.problems:
                    self.report.add("settings", "mailu.env", "refused", problem)

    # Directory

    def _read_directory(self) -> Content | None:
        try:
            if self.source.export is not None:
                document = archive.read_document(self.source.export.read_bytes())
                return Content({name: list(entries) for name, entries in document.sections.items()}, {})
            content = build_content(read_database(self.source.database_uri or ""), self.report)
        except ArchiveError as error:
            for problem in error.problems:
                self.report.add("directory", self.source.name, "refused", str(problem))
            return None
        except (CannotRead, BadDatabaseUri, OSError) as error:
            self.report.add("directory", "database", "refused", str(error))
            return None
        assert self._settings is not None
        if self.source.root is not None:
            selector = self._settings.dkim_selector
            keys.add_keys(self.source.folder("dkim"), content.sections["domain"], selector, self.report)
        return content

    def _look_at_directory(self, content: Content) -> None:
        assert self._settings is not None
        by_email = {home.email: home.folder for home, _look in self._mail.looks if home.has_account}
        for entry in content.sections.get("user", ()):
            if (home := by_email.get(entry.get("email", ""))) is not None:
                entry["home"] = home
        self._directory = Directory(
            self._settings, owner_of("mailu"), self.record, self.report, orphans=self._mail.orphans
        )
        try:
            self._directory.prepare(content.sections, content.unusable_hashes)
        except SchemaError as error:
            self.report.add("directory", "database", "refused", str(error))
        except (SQLAlchemyError, sqlite3.Error, PermissionError) as error:
            words = str(getattr(error, "orig", None) or error).splitlines()[0]
            self.report.add(
                "directory", "database", "refused", f"the database of the new place does not answer: {words}"
            )

    # Mail and the rest

    def _look_at_mail(self, content: Content | None) -> None:
        folder = self.source.folder("mail")
        if folder is None or content is None or self._settings is None:
            return
        homes = mailboxes.find_homes(folder, content.spelled, self.report)
        target = Places(self._settings.root).mail
        self._mail = mailboxes.look_at_mail(folder, target, homes, owner_of("vmail"), self.record, self.report)

    def _look_at_others(self) -> None:
        assert self._settings is not None
        if self.source.root is not None:
            self._others = others.look_at_others(self.source.root, self._settings, self.record, self.report)
        if (folder := self.source.folder("mailqueue")) is not None:
            self._queue = queue.look_at_queue(folder, self.record, self.report, wanted=self.with_queue)

    def _look_at_room(self) -> None:
        """Refuse before a disk is full, not then."""
        needed = self._mail.bytes_needed + sum(look.todo.bytes for _area, look in self._others if others.is_taken(look))
        needed += self._queue.bytes_needed if self._queue is not None else 0
        place = next(path for path in (self.target.root, *self.target.root.parents) if path.exists())
        free = shutil.disk_usage(place).free
        if needed and needed + _SPARE_BYTES > free:
            text = f"{needed / 1e9:.1f} GB are to be copied, and {free / 1e9:.1f} GB are free at {place}"
            self.report.add("other", "disk", "refused", text)

    # Writing

    def _take_part(self, look: Look) -> None:
        if look.part.name == "data/fetchmail":
            make_folder(look.part.target.parent, 0o750, owner_of("mailu"))
        if gone := take(look, self.record):
            text = f"{len(gone)} files changed while they were copied; stop the source and run this again"
            self.report.add("other", look.part.name, "warning", text, len(gone))

    def _write_overrides(self, places: Places) -> None:
        for name, text in self._overrides.items():
            path = places.overrides / name
            if self._override_here(name, text) != "same":
                make_folder(path.parent, 0o755, NOBODY_ELSE)
                write_text(path, text, mode=0o644, owner=NOBODY_ELSE)
            self.record.files[f"overrides/{name}"] = digest(text)

    def _write_settings(self) -> None:
        present = self._present_settings()
        if present != self._env_text:
            make_folder(self.target.env_file.parent, 0o755, NOBODY_ELSE)
            write_text(self.target.env_file, self._env_text, mode=0o600, owner=NOBODY_ELSE)
        self.record.variables = {name: value for name, value in self._variables.items() if value}
