"""certbot's plug-in for proofs by DNS, brought into the Python environment that certbot runs from.

Only those that certbot's own authors publish, in the version of the certbot that is there: they belong together, and no
misspelt name makes root install a stranger's program. Others are installed by hand, after each update anew.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import metadata

from mailu.deploy import machine
from mailu.settings import Settings

PIP_SECONDS = 300
PUBLISHED = frozenset({
    "cloudflare", "digitalocean", "dnsimple", "dnsmadeeasy", "gehirn", "google", "linode", "luadns", "nsone", "ovh",
    "rfc2136", "route53", "sakuracloud",
})  # fmt: skip


def missing_plugin(settings: Settings) -> str | None:
    """What pip has to install for *settings*, as ``name==version``; None when nothing is missing, or it is not ours."""
    if settings.tls_flavor != "letsencrypt" or settings.acme_dns_plugin not in PUBLISHED:
        return None
    name, wanted = f"certbot-dns-{settings.acme_dns_plugin}", metadata.version("certbot")
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        found = ""
    return None if found == wanted else f"{name}=={wanted}"


def ensure_plugin(settings: Settings, *, told: Callable[[str], None]) -> list[str]:
    """Install what is missing. Returns a warning where that fails: everything but new certificates works without."""
    missing = missing_plugin(settings)
    if missing is None:
        return []
    told(f"installing {missing}")
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", missing]
    try:
        code, text = machine.text_of(command, seconds=PIP_SECONDS)
    except subprocess.TimeoutExpired:
        code, text = 1, f"pip did not end within {PIP_SECONDS} s"
    if code == 0:
        return []
    last = text.strip().splitlines()[-1:] or ["pip said nothing"]
    return [f"{missing} could not be installed ({last[0]}): no certificate is issued until it is there"]
