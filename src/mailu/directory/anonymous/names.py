"""Names for anonymous aliases: they say for which site they were made, and cannot be guessed from outside."""

from __future__ import annotations

import re
import secrets
import string
from functools import lru_cache
from importlib import resources
from urllib.parse import urlsplit

_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "gob", "gov", "go", "gv", "mil", "ne", "net", "or", "org"})
"""Labels below a country's top level that register names for others: ``example.co.uk``."""
_MOST_LABEL = 40
_SAFE = string.ascii_lowercase + string.digits
WORD_LETTERS = (5, 10)


def new_localpart(site: str) -> str:
    """A name for *site*, the host name or the address of a page: ``groupon.banana``.

    Without a site that has a name of its own (also for ``localhost`` and for IP addresses) it is 16 random characters.
    """
    label = site_label(site)
    return f"{label}.{secrets.choice(words())}" if label else "".join(secrets.choice(_SAFE) for _ in range(16))


def site_label(site: str) -> str:
    """The registrable name of a site in letters and digits, without what follows it: ``testsite`` for
    ``https://me@www.test-site.co.uk:8443/path``; empty where there is none."""
    labels = [label for label in _host(site).split(".") if label]
    if len(labels) < 2 or labels[-1].isdecimal():
        return ""
    if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL:
        labels.pop()
    return re.sub(r"[^a-z0-9]", "", labels[-2])[:_MOST_LABEL]


@lru_cache(maxsize=1)
def words() -> tuple[str, ...]:
    """English words of 5 to 10 letters."""
    text = resources.files(__package__).joinpath("words.txt").read_text(encoding="ascii")
    return tuple(word for word in text.split() if WORD_LETTERS[0] <= len(word) <= WORD_LETTERS[1])


def _host(site: str) -> str:
    text = site.strip().lower()
    try:
        host = urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""
    return "" if ":" in host else host
