"""`mailu up` with no settings at all: a working server on 127.0.0.1 that nobody else can reach."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mailu.address import DomainName
from mailu.deploy.source import default_file
from mailu.settings.new_file import TRIAL, new_env_file, new_secret

TRIAL_DOMAIN = DomainName("mailu.test")
TRIAL_HOST = DomainName("mail.mailu.test")
PASSWORD_LETTERS = 16


@dataclass(frozen=True, slots=True)
class Trial:
    """What was made: the settings file, and the administrator to tell about once."""

    file: Path
    login: str
    password: str


def make_trial(environ: Mapping[str, str]) -> Trial:
    """Write the settings of a trial, readable by root only. Raises OSError.

    Settings in the environment (ROOT, BIND_ADDRESS4) hold beside the file, as they always do; ROOT is kept in it, so
    that the next command finds the same place.
    """
    file = default_file(environ)
    password = new_secret()[:PASSWORD_LETTERS]
    more = {
        "ROOT": str(file.parent),
        **TRIAL,
        "INITIAL_ADMIN_ACCOUNT": "admin",
        "INITIAL_ADMIN_DOMAIN": TRIAL_DOMAIN,
        "INITIAL_ADMIN_PW": password,
    }
    kept = {name: environ[name] for name in ("BIND_ADDRESS4", "BIND_ADDRESS6", "PORTS") if environ.get(name)}
    text = new_env_file(TRIAL_DOMAIN, [TRIAL_HOST], {**more, **kept})
    file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123
        stream.write(text)
    return Trial(file, f"admin@{TRIAL_DOMAIN}", password)
