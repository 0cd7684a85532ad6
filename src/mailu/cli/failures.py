"""Known failures as sentences for people. An exception that is not known is a defect, and is shown as one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any


class CommandError(Exception):
    """What a command cannot do; the text says what was wrong, where, and what was expected."""


def sentences(error: BaseException) -> list[str] | None:
    """What to tell of *error*, or None when it is not a known failure.

    Modules that the command did not need are not imported for it: what is not loaded cannot have raised.
    """
    if isinstance(error, CommandError):
        return [str(error)]
    if isinstance(error, PermissionError):
        return [f"{error.filename}: permission denied; run this command as root"]
    for names, tell in _KNOWN:
        if isinstance(error, tuple(_loaded(names))):
            return tell(error)
    return None


def _loaded(names: tuple[str, ...]) -> Iterator[type[BaseException]]:
    for name in names:
        module, _, attribute = name.rpartition(".")
        if module in sys.modules and hasattr(sys.modules[module], attribute):
            yield getattr(sys.modules[module], attribute)


def _own_words(error: Any) -> list[str]:
    return [str(error)]


def _settings(error: Any) -> list[str]:
    return list(error.problems)


def _no_schema(_error: Any) -> list[str]:
    return ["the database has no tables yet; start the services once, or run `mailu db upgrade`"]


def _database(error: Any) -> list[str]:
    schema = sys.modules.get("mailu.directory.schema")
    if schema is not None and schema.says_no_table(error):
        return [
            "the database has no tables yet, or those of an earlier version; start the services anew, or run "
            "`mailu db upgrade`"
        ]
    first = str(error.orig).splitlines()[0] if getattr(error, "orig", None) else str(error).splitlines()[0]
    return [f"the database does not answer: {first}"]


def _redis(error: Any) -> list[str]:
    return [f"Redis does not answer: {error}"]


_KNOWN: tuple[tuple[tuple[str, ...], Callable[[Any], list[str]]], ...] = (
    (("mailu.settings.load.SettingsError",), _settings),
    (("mailu.directory.store.NoSchema",), _no_schema),
    (
        (
            "mailu.address.AddressError",
            "mailu.directory.changes.ChangeError",
            "mailu.directory.schema.SchemaError",
            "mailu.directory.schema.ForeignSchema",
            "mailu.directory.schema.NewerSchema",
            "mailu.directory.uris.BadDatabaseUri",
            "mailu.identity.dkim.DkimKeyError",
            "mailu.deploy.control.NotRunning",
            "mailu.deploy.control.ControlError",
        ),
        _own_words,
    ),
    (("sqlalchemy.exc.DBAPIError",), _database),
    (("redis.exceptions.RedisError",), _redis),
)
