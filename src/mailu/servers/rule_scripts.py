"""Sieve scripts made of people's rules, as Dovecot's dict storage asks for them.

First it asks for ``priv/sieve/name/rules`` (2.4: ``rules-or-none``) and is told what the script is called: a name that
changes with its text. Only when it has not compiled that one it asks for ``priv/sieve/data/<name>``.
Source: Dovecot, Pigeonhole's script-location-dict.
"""

from __future__ import annotations

import hashlib
import logging
from functools import lru_cache
from pathlib import Path

from mailu.directory.mail_rules import BadRule, sieve_script, stored_rules
from mailu.directory.snapshot import UserEntry

log = logging.getLogger("mailu.servers.rules")

SCRIPTS = "priv/sieve/"
NAME = "rules"
ALWAYS = "rules-or-none"
"""What Dovecot 2.4 asks for. It takes a script that is not there for one that cannot be reached, and lets mail wait."""
NONE, EMPTY = "none", "# There are no rules.\n"
_KEPT = 1000


def script_location(dictionary: Path) -> str:
    """Where Dovecot 2.3 finds the script, asking by the socket *dictionary*."""
    return f"dict:proxy:{dictionary}:{NAME};name={NAME};bindir=~/sieve-rules"


class RuleScripts:
    """Makes scripts, and remembers those made last."""

    def __init__(self) -> None:
        self._made = lru_cache(_KEPT)(_made)

    def look_up(self, entry: UserEntry, key: str) -> str | None:
        """The value of *key* for one mailbox; None where it has no such script."""
        name, text = self._script(entry)
        if key == f"{SCRIPTS}name/{NAME}":
            return name
        if key == f"{SCRIPTS}name/{ALWAYS}":
            return name or NONE
        if key == f"{SCRIPTS}data/{NONE}":
            return EMPTY
        return text if name and key == f"{SCRIPTS}data/{name}" else None

    def _script(self, entry: UserEntry) -> tuple[str | None, str | None]:
        """Name and text; neither where there is nothing to do."""
        if entry.mail_rules is None:
            return None, None
        try:
            name, text = self._made(entry.mail_rules)
        except (BadRule, ValueError, TypeError) as error:
            # Only another program can have written that. Mail goes where it would without rules.
            log.error("the rules of %s cannot be read: %s", entry.email, error)
            return None, None
        return (name, text) if text else (None, None)


def _made(rules: str) -> tuple[str, str]:
    text = sieve_script(stored_rules(rules))
    return hashlib.sha256(text.encode()).hexdigest()[:32], text
