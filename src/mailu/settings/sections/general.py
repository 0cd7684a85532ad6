# ruff: noqa: RUF009 - setting() returns a dataclass field
"""Who this server is, where it keeps its state, how much it says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mailu.address import DomainName
from mailu.settings import values
from mailu.settings.fields import required, setting
from mailu.settings.values import Kind

_path: Kind[Path] = Kind("an absolute path", values.parse_root, str)
_levels = values.words("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", same={"warn": "WARNING"})


@dataclass(frozen=True, kw_only=True)
class General:
    """This server."""

    secret_key: str = required(
        values.text,
        "Root of all keys that are derived: sessions, SRS addresses, passwords between services. At least 16 random "
        "characters. Changing it ends all sessions and breaks bounces to mail that was forwarded before.",
        secret=True,
    )
    domain: DomainName = required(
        values.domain,
        "The main mail domain: where system mail comes from and reports go to. It is not a host name and needs no "
        "certificate. Further domains are added in the administration, not here.",
    )
    hostnames: tuple[DomainName, ...] = required(
        values.host_names,
        "The names that people and other mail servers connect to. Each needs an address in DNS, and gets a certificate "
        "with TLS_FLAVOR=letsencrypt. The first is the name in MX records and in the SMTP greeting, and should be what "
        "the reverse DNS of the sending address says.",
        default_note="mail.DOMAIN",
    )
    postmaster: str = setting(
        values.localpart,
        "postmaster",
        "Localpart, at DOMAIN, of the person in charge: sender and receiver of system mail.",
    )
    root: Path = setting(
        _path,
        Path("/mailu"),
        "The folder that holds all state. Keep it short: sockets below it have a limit of 107 bytes.",
    )
    sitename: str = setting(values.text, "Mailu", "Name of this service in pages, reports and client profiles.")
    website: str = setting(values.url, "https://mailu.io", "Where the site name leads to.")
    tz: str = setting(values.time_zone, "Etc/UTC", "Time zone of logs, automatic replies and nightly work.")
    log_level: str = setting(_levels, "INFO", "How much the services say: DEBUG, INFO, WARNING, ERROR or CRITICAL.")
    log_driver: str = setting(
        values.words("journald", "syslog", "json-file", "local"),
        "journald",
        "Where containers send their logs, for Compose. Without containers logs go to ROOT/run/log.",
    )
    compose_project_name: str = setting(
        values.matching(r"[a-z0-9][a-z0-9_-]*", "lower-case letters, digits, - and _"),
        "mailu",
        "Prefix of containers, networks and log tags.",
    )
    small_host: bool = setting(
        values.boolean,
        False,
        "Save memory for a machine of 1 GB: one process where several would be faster, smaller caches, and the program "
        "of the web pages only while somebody uses them.",
    )
    cpu_count: int | None = setting(
        values.optional(values.integer(1, 4096)),
        None,
        "How many processors to plan worker processes for.",
        default_note="as many as the machine has",
    )
    initial_admin_account: str | None = setting(
        values.optional(values.localpart),
        None,
        "Localpart of an administrator who is made when the services start. Works only together with "
        "INITIAL_ADMIN_DOMAIN and INITIAL_ADMIN_PW.",
    )
    initial_admin_domain: DomainName | None = setting(
        values.optional(values.domain), None, "Domain of that administrator; created when missing."
    )
    initial_admin_pw: str | None = setting(values.optional_text, None, "Password of that administrator.", secret=True)
    initial_admin_mode: str = setting(
        values.words("ifmissing", "create", "update"),
        "ifmissing",
        "What to do when that administrator exists: nothing (ifmissing), complain (create), set the password (update).",
    )
