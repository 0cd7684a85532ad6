"""What a command works with: the settings it was pointed at, the root, the database, and who runs it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mailu.cli.failures import CommandError
from mailu.cli.privileges import become_owner_of

if TYPE_CHECKING:
    from mailu.deploy.source import Source
    from mailu.directory.changes import Actor
    from mailu.directory.snapshot import Snapshot
    from mailu.directory.store import Store
    from mailu.places import Places
    from mailu.settings import Loaded, Settings


@dataclass
class Surroundings:
    """Made from the options before the command. Nothing is read before it is asked for."""

    env_file: Path | None = None
    root: Path | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def effective_environ(self) -> dict[str, str]:
        """The environment, with ``--root`` as ROOT."""
        return {**self.environ, **({"ROOT": str(self.root.absolute())} if self.root else {})}

    @cached_property
    def source(self) -> Source:
        """The file that ``--env`` names, else ``mailu.env`` in the root when it is there; and the environment."""
        from mailu.deploy.source import find_source

        return find_source(self.env_file, self.effective_environ)

    @cached_property
    def loaded(self) -> Loaded:
        """Settings and where they come from. Raises SettingsError; CommandError when there is nothing at all."""
        from mailu.deploy.source import default_file
        from mailu.settings import load

        source = self.source
        if source.file is None and not source.environ.get("DOMAIN"):
            file = default_file(source.environ)
            raise CommandError(f"{file} is not there; name the settings file with --env, or its folder with --root")
        return load(source.file, source.environ)

    @property
    def settings(self) -> Settings:
        """The settings. Raises SettingsError."""
        return self.loaded.settings

    @property
    def places(self) -> Places:
        """Folders and sockets of the root."""
        from mailu.places import Places

        return Places(self.settings.root)

    @cached_property
    def store(self) -> Store:
        """The database, opened as the user that the services use. From here on root's rights are gone."""
        from mailu.directory.store import open_store

        settings, folder = self.settings, self.places.data
        store = open_store(settings.database_uri)
        if store.is_sqlite:
            folder = Path(store.url.database or "").parent
            if not folder.is_dir():
                raise CommandError(f"{folder} is not there; start the services once, so that it is made")
        become_owner_of(folder)
        return store

    def close(self) -> None:
        """Close the database when it was opened."""
        if "store" in self.__dict__:
            self.store.close()

    def snapshot(self) -> Snapshot:
        """The whole directory as it is now."""
        from mailu.directory.snapshot import load_snapshot

        senders = {str(address) for address in self.settings.wildcard_senders}
        return load_snapshot(self.store, delimiters=self.settings.recipient_delimiter, wildcard_senders=senders)

    @property
    def actor(self) -> Actor:
        """Who is written down as having changed something: the person behind sudo, else the user."""
        from mailu.directory.changes import Actor

        return Actor(self.environ.get("SUDO_USER") or _user_name(), "command line")


def surroundings(context: typer.Context) -> Surroundings:
    """The surroundings of the running command."""
    found = context.find_object(Surroundings)
    assert found is not None
    return found


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
