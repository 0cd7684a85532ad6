"""Bringing one service's configuration up to date: render, let the daemon's checker read it, put it in force.

Nothing is put in force that the checker refused. The result says in plain words what happened.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mailu.daemons.room import ConfigFile, OverrideError, RenderRequest, Room
from mailu.deploy.generation import Generations, make_folder
from mailu.deploy.situation import Situation, UnreadableOverride


@dataclass(frozen=True, slots=True)
class Applied:
    """A configuration that is in force.

    *files* are the rendered texts with *etc* in them, and copies of the certificates and keys that they name.
    """

    request: RenderRequest
    etc: Path
    files: Mapping[str, ConfigFile] = field(repr=False)
    notes: tuple[str, ...] = ()


class Rejected(Exception):
    """The new configuration cannot be used; `problems` are the daemon's (or our) words."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Configuration:
    """The generated configuration of one service. Methods block (they run checkers): call them in a thread."""

    def __init__(self, room: Room, folder: Path) -> None:
        self._room = room
        self._generations = Generations(folder)
        self.link = self._generations.link

    def establish(self, situation: Situation) -> Applied:
        """The configuration to start with. One that is already in force and would not change is not checked again.

        Raises Rejected.
        """
        current = self._generations.current()
        if current is not None:
            request, files = self._render(situation, current)
            fingerprint = self._fingerprint(request, files)
            folders_new = [make_folder(folder) for folder in self._room.folders(request)]
            unchanged = self._generations.holds(current, files) and self._stamp(current) == fingerprint
            if unchanged and not any(folders_new):
                return Applied(request, current, files)
        applied = self._prepare(situation)
        self._generations.swap(applied.etc)
        self._generations.collect(keep=set() if current is None else {current})
        return applied

    def last_good(self, situation: Situation) -> Applied | None:
        """The generation that was in force in an earlier run, for a start with settings or overrides that are bad."""
        current = self._generations.current()
        if current is None or self._stamp(current) is None:
            return None
        request = RenderRequest(settings=situation.settings, places=situation.places, host=situation.host, etc=current)
        return Applied(request, current, {})

    def changed(self, situation: Situation, applied: Applied) -> bool:
        """Whether rendering now gives other texts, certificates or keys. Raises Rejected."""
        return self._render(situation, applied.etc)[1] != applied.files

    def renew(self, situation: Situation, applied: Applied) -> Applied:
        """Render again, check, put in force; *applied* stays on the disk, to go back to. Raises Rejected."""
        renewed = self._prepare(situation)
        self._generations.swap(renewed.etc)
        self._generations.collect(keep={applied.etc})
        return renewed

    def go_back(self, to: Applied, away_from: Applied) -> None:
        """Put the earlier configuration in force again."""
        self._generations.swap(to.etc)
        self._generations.drop(away_from.etc)

    def _prepare(self, situation: Situation) -> Applied:
        etc = self._generations.next()
        request, files = self._render(situation, etc)
        for folder in self._room.folders(request):
            make_folder(folder)
        self._generations.write(etc, files)
        try:
            result = self._room.check(request)
        except Exception:
            self._generations.drop(etc)
            raise
        if result.problems:
            self._generations.drop(etc)
            raise Rejected(result.problems)
        self._stamp_path(etc).write_text(self._fingerprint(request, files), encoding="ascii")
        return Applied(request, etc, files, result.notes)

    def _render(self, situation: Situation, etc: Path) -> tuple[RenderRequest, dict[str, ConfigFile]]:
        try:
            request = situation.request(etc, self._room.overrides_folder)
            return request, _with_pairs(self._room.render(request), situation, etc)
        except (OverrideError, UnreadableOverride) as error:
            raise Rejected((str(error),)) from error

    def _fingerprint(self, request: RenderRequest, files: Mapping[str, ConfigFile]) -> str:
        """What a finished check depends on: the texts and certificates, the daemons' versions."""
        texts = {name: [file.text, file.mode, file.owner, file.group] for name, file in sorted(files.items())}
        facts = [texts, repr(request.host)]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _stamp_path(self, etc: Path) -> Path:
        # Beside the folder, not in it: some daemons read whatever stands in a configuration folder.
        return etc.with_name(f".checked.{etc.name}")

    def _stamp(self, etc: Path) -> str | None:
        try:
            return self._stamp_path(etc).read_text(encoding="ascii")
        except OSError:
            return None


def _with_pairs(files: dict[str, ConfigFile], situation: Situation, etc: Path) -> dict[str, ConfigFile]:
    """*files* and what they name of the certificates and keys."""
    texts = [file.text for file in files.values()]
    pairs = situation.pair_files().items()
    return files | {name: file for name, file in pairs if any(str(etc / name) in text for text in texts)}
