"""Mail: one home a mailbox, copied so that clients see the same folders, numbers, flags and scripts.

A home that is in use here is not touched but for one thing: messages that have come to the source since the last run
are put into it as new ones. Nothing that arrived on either side is ever lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mailu.address import AddressError, DomainName, parse_address, unicode_domain
from mailu.migrate import maildirs
from mailu.migrate.ownership import Owner
from mailu.migrate.parts import Condition, Look, Part, look_at, take
from mailu.migrate.record import Record
from mailu.migrate.report import Report
from mailu.migrate.trees import Mark, copy_file, make_folder

_MOST_DEEP = 4
"""Localparts have slashes, so homes lie in folders; deeper than this nobody's is."""


@dataclass(frozen=True, slots=True)
class Home:
    """One folder of mail at the source."""

    email: str
    folder: str
    """Path below ``mail/``, the same here."""
    has_account: bool


@dataclass(slots=True)
class Mail:
    """All homes, and what is to become of them."""

    looks: list[tuple[Home, Look]] = field(default_factory=list)

    @property
    def orphans(self) -> list[Home]:
        """Homes without an account that are taken over."""
        return [home for home, look in self.looks if not home.has_account and look.condition is not Condition.FOREIGN]

    @property
    def bytes_needed(self) -> int:
        """Room that is needed for what is copied."""
        ours = (Condition.FREE, Condition.OURS)
        return sum(look.todo.bytes for _home, look in self.looks if look.condition in ours)


def find_homes(folder: Path, spelled: Mapping[str, str], report: Report) -> list[Home]:
    """The homes in the folder *folder*. *spelled* are the users, canonical address to how the source wrote it.

    What is no mailbox is listed.
    """
    homes: list[Home] = []
    claimed: set[str] = set()
    for email, given in spelled.items():
        for name in _spellings(email, given):
            if (folder / name).is_dir() and name not in claimed and ".." not in name.split("/"):
                homes.append(Home(email, name, has_account=True))
                claimed.add(name)
                break
    for name in _unclaimed(folder, claimed):
        try:
            email = str(parse_address(name))
        except AddressError:
            report.add("mail", name, "explained", "left: this is not a mailbox's folder")
            continue
        homes.append(Home(email, name, has_account=False))
    return homes


def _spellings(email: str, given: str) -> Iterator[str]:
    """The names that the folder of *email* may have: canonical, as in the database, in Unicode."""
    localpart, _, domain = email.rpartition("@")
    shown = f"{localpart}@{unicode_domain(DomainName(domain))}"
    yield from dict.fromkeys((email, given, given.lower(), shown))


def _unclaimed(folder: Path, claimed: Collection[str], below: str = "", depth: int = 1) -> Iterator[str]:
    """Folders in which no home is, and which are none themselves."""
    above = {name.rpartition("/")[0] for name in claimed if "/" in name}
    parents = {"/".join(name.split("/")[: n + 1]) for name in above for n in range(name.count("/") + 1)}
    for entry in sorted((folder / below).iterdir()):
        name = f"{below}{entry.name}"
        if name in claimed or not entry.is_dir() or entry.is_symlink() or entry.name == "lost+found":
            continue
        if name in parents or ("@" not in name and depth < _MOST_DEEP and not (entry / "cur").is_dir()):
            yield from _unclaimed(folder, claimed, f"{name}/", depth + 1)
        else:
            yield name


def look_at_mail(folder: Path, target: Path, homes: list[Home], owner: Owner, record: Record, report: Report) -> Mail:
    """Compare every home with what is here, and say what will become of it."""
    mail = Mail()
    for home in homes:
        part = Part(
            f"mail/{home.folder}",
            folder / home.folder,
            target / home.folder,
            owner,
            skip=maildirs.is_left,
            is_scratch=maildirs.is_index,
            mend_link=partial(maildirs.contained_link, home.folder),
        )
        look = look_at(part, record)
        mail.looks.append((home, look))
        _tell(home, look, record, report)
    return mail


def _tell(home: Home, look: Look, record: Record, report: Report) -> None:
    count = maildirs.count_messages(look.wanted)
    if look.condition is Condition.FOREIGN:
        text = f"{look.part.target} is there already, and is not from an earlier run; move it away first"
        report.add("mail", home.folder, "refused", text)
    elif look.condition is Condition.IN_USE:
        late = late_messages(look, record.manifest(look.part.name) or {})
        text = "in use here since the last run: left as it is"
        if late:
            report.will_change("mail")
            report.add("mail", home.folder, "copied", f"{text}, and {len(late)} late messages are added", len(late))
        else:
            report.add("mail", home.folder, "unchanged", text, count)
    elif look.todo.is_empty and look.condition is Condition.OURS:
        report.add("mail", home.folder, "unchanged", f"{count} messages are here already", count)
    else:
        gone = f", {len(look.todo.remove)} that are gone there are removed" if look.todo.remove else ""
        text = f"{count} messages, {len(look.todo.copy)} files to copy{gone}"
        report.will_change("mail")
        report.add("mail", home.folder, "copied", text, len(look.todo.copy))
    for path in look.dropped:
        report.add("mail", f"{home.folder}/{path}", "warning", "left: this link leads out of the mailbox")
    for path in look.wanted.other:
        report.add("mail", f"{home.folder}/{path}", "explained", "left: neither a file nor a folder")
    if not home.has_account and look.condition in (Condition.FREE, Condition.OURS):
        text = "there is no such account: kept as the mail of a deleted mailbox, so that nobody inherits it"
        report.add("mail", home.folder, "explained", text)


def late_messages(look: Look, manifest: Mapping[str, Mark]) -> list[str]:
    """Messages at the source that no earlier run has seen."""
    seen = maildirs.messages(iter(manifest)).keys()
    return [path for name, path in maildirs.messages(iter(look.wanted.files)).items() if name not in seen]


def take_mail(mail: Mail, record: Record, report: Report) -> None:
    """Copy everything that was found."""
    for home, look in mail.looks:
        if look.condition is Condition.IN_USE:
            _add_late(look, record)
        elif look.condition is not Condition.FOREIGN and not (look.todo.is_empty and _is_remembered(look, record)):
            gone = take(look, record)
            if gone:
                text = f"{len(gone)} files changed while they were copied; stop the source and run this again"
                report.add("mail", home.folder, "warning", text, len(gone))


def _is_remembered(look: Look, record: Record) -> bool:
    return look.condition is Condition.OURS and record.manifest(look.part.name) is not None


def _add_late(look: Look, record: Record) -> None:
    manifest = dict(record.manifest(look.part.name) or {})
    late = late_messages(look, manifest)
    for path in late:
        folder = maildirs.name_for_another(path)
        above = path.rpartition("/")[0].rpartition("/")[0]
        _make_maildir(look.part.target / above, look.part.owner)
        copy_file(look.part.source / path, look.part.target / above / folder, look.part.owner)
        manifest[path] = look.wanted.files[path]
    if late:
        record.keep_manifest(look.part.name, manifest)


def _make_maildir(folder: Path, owner: Owner) -> None:
    for name in ("cur", "new", "tmp"):
        make_folder(folder / name, 0o700, owner)
