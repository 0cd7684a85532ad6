"""What the operator adds to Rspamd's configuration, as Mailu has always taken it.

A file with the name of a shipped one is merged into it and wins; a map replaces the shipped one; any other file is
put beside them. ``local.d/`` and ``override.d/`` before a name say the same place as in Rspamd's own documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mailu.daemons.room import ConfigFile

_MERGED = (".conf", ".inc")
_FOLDERS = ("local.d", "override.d", "lua", "plugins.d", "maps.d")
_PRIORITIES = {"override.d": 11, "local.d": 2}
"""One above what Rspamd reads the folder with: a value there replaces ours, a section is merged into ours."""


def merge(shipped: Mapping[str, ConfigFile], overrides: Mapping[str, str], etc: Path) -> dict[str, ConfigFile]:
    """Return *shipped* files (names below *etc*) with the operator's *overrides* merged in or put beside them."""
    files = dict(shipped)
    for given, text in sorted(overrides.items()):
        file = ConfigFile(text, mode=0o640, group="_rspamd")
        place = given if "/" in given and given.split("/")[0] in _FOLDERS else f"local.d/{given}"
        name = place.partition("/")[2]
        folder = next((folder for folder in _PRIORITIES if f"{folder}/{name}" in shipped), None)
        if folder is None or not name.endswith(_MERGED):
            files[place] = file
            continue
        files[f"overrides/{name}"] = file
        target = f"{folder}/{name}"
        files[target] = _with_include(files[target], etc / "overrides" / name, _PRIORITIES[folder])
    return files


def _with_include(file: ConfigFile, path: Path, priority: int) -> ConfigFile:
    include = f'.include(try=true; priority={priority}; duplicate=merge) "{path}"\n'
    return ConfigFile(f"{file.text}\n# What the operator says wins.\n{include}", file.mode, file.owner, file.group)
