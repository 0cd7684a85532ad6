"""DKIM keys: files named by domain and selector, of which DNS holds the other half."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mailu.address import AddressError, parse_domain
from mailu.identity.dkim_staging import canonical_pem
from mailu.migrate.report import Report

_NAME = re.compile(r"(?P<domain>.+)\.(?P<selector>[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?)\.key\Z")


def add_keys(folder: Path | None, domains: Iterable[dict[str, Any]], selector: str, report: Report) -> None:
    """Put the keys in *folder* into the entries of their *domains*, and list domains without, and keys of no domain."""
    by_name = {entry["name"]: entry for entry in domains}
    for path in sorted(folder.iterdir()) if folder is not None else ():
        _add_key(path, by_name, report)
    for name, entry in by_name.items():
        if not any(key["selector"] == selector for key in entry.get("dkim_keys", ())):
            text = f"there is no key with the selector {selector}: one is made here, and its record has to go into DNS"
            report.add("keys", name, "warning", text)


def _add_key(path: Path, by_name: Mapping[str, dict[str, Any]], report: Report) -> None:
    match = _NAME.match(path.name)
    if match is None or not path.is_file():
        report.add("keys", path.name, "explained", "left: its name is not DOMAIN.SELECTOR.key")
        return
    domain = _domain(match["domain"])
    if domain not in by_name:
        report.add("keys", path.name, "explained", "left: there is no such domain")
        return
    try:
        pem = canonical_pem(path.read_text(encoding="ascii", errors="replace"))
    except ValueError as error:
        report.add("keys", path.name, "refused", f"{error}; mend it, or move it away at the source")
        return
    keys = by_name[domain].setdefault("dkim_keys", [])
    if not any(key["selector"] == match["selector"] for key in keys):
        keys.append({"selector": match["selector"], "state": "active", "private_key": pem})
        report.add("keys", path.name, "kept", f"signs for {domain} with the selector {match['selector']} as before")


def _domain(name: str) -> str:
    """The canonical form of *name*; what is none is no domain's either."""
    try:
        return parse_domain(name)
    except AddressError:
        return ""
