"""The first ``mailu.env`` of an installation, or of a trial: short, with a comment on each line that it holds."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping, Sequence

from mailu.address import DomainName
from mailu.settings.envfile import quote_value
from mailu.settings.model import BY_NAME

_LETTERS = string.ascii_letters + string.digits
_SECRET_LENGTH = 32

TRIAL: Mapping[str, str] = {
    "BIND_ADDRESS4": "127.0.0.1",
    "PORTS": "25,80,443,465,587,993,995,143,110,4190",
}
"""What a trial sets in addition: nobody else can reach it, and every port is there to be tried."""


def new_secret() -> str:
    """32 random letters and digits: 190 bits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_SECRET_LENGTH))


def new_env_file(
    domain: DomainName, hostnames: Sequence[DomainName], more: Mapping[str, str], *, secret_key: str | None = None
) -> str:
    """Return the text of a new file with a secret key of its own. *more* are further variables; an unknown name or a
    value that does not parse raises KeyError or ValueError, so that what is written can be loaded."""
    values = {
        "SECRET_KEY": secret_key or new_secret(),
        "DOMAIN": domain,
        "HOSTNAMES": ",".join(hostnames),
        **more,
    }
    lines = ["# Settings of this mail server. Everything that is not here has its default: see docs/settings.md.\n"]
    for name, value in values.items():
        variable = BY_NAME[name]
        variable.kind.parse(value)
        lines.append(f"\n# {variable.meaning.partition('. ')[0].rstrip('.')}.\n{name}={quote_value(value)}\n")
    return "".join(lines)
