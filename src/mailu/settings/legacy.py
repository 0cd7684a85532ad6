"""Names and values of earlier releases: translated, or explained.

Everything here works on text, before anything is parsed, so that a translated value is checked like any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

NO_EFFECT: dict[str, str] = {
    "VERSION": "the release is chosen when it is installed",
    "MAILU_VERSION": "the release is chosen when it is installed",
    "DOCKER_ORG": "images are chosen in the generated Compose file",
    "DOCKER_PREFIX": "images are chosen in the generated Compose file",
    "AUTH_RATELIMIT": "use AUTH_RATELIMIT_IP and AUTH_RATELIMIT_USER",
    "PASSWORD_SCHEME": "passwords are stored with argon2id; older hashes keep working until they are renewed",
    "CREDENTIAL_ROUNDS": "passwords are stored with argon2id at a fixed cost; older hashes keep working",
    "DISABLE_STATISTICS": "no statistics are sent",
    "STATS_ENDPOINT": "no statistics are sent",
    "INSTANCE_ID_PATH": "no statistics are sent",
    "KUBERNETES_INGRESS": "use TLS, PORTS and PROXY_PROTOCOL",
    "TRAEFIK_VERSION": "put certificates into ROOT/certs, or use TLS_FLAVOR=letsencrypt",
    "POSTFIX_LOG_FILE": "logs go to ROOT/run/log",
    "DOCKER_SOCKET": "nothing here talks to Docker's socket",
    "DKIM_PATH": "keys are in ROOT/dkim",
    "MAILU_HELM_CHART": "any host is supported",
    "I_KNOW_MY_SETUP_DOESNT_FIT_REQUIREMENTS_AND_WONT_FILE_ISSUES_WITHOUT_PATCHES": "any host is supported",
    "LD_PRELOAD": "set it where the services are started",
    "HOST_AUTHSMTP": "the SMTP service answers on all its ports",
    "HOST_POP3": "the mailbox service speaks POP3 too; use IMAP_ADDRESS",
    "BABEL_DEFAULT_TIMEZONE": "use TZ",
    "BOOTSTRAP_SERVE_LOCAL": "pages load nothing from elsewhere",
    "DEBUG": "use LOG_LEVEL=DEBUG",
    "DEBUG_PROFILER": "use LOG_LEVEL=DEBUG",
    "DEBUG_TB_INTERCEPT_REDIRECTS": "use LOG_LEVEL=DEBUG",
    "DEBUG_ASSETS": "use LOG_LEVEL=DEBUG",
    "TEMPLATES_AUTO_RELOAD": "templates are part of the release",
}
"""Names that do nothing, and what to do instead. Reported, never refused."""

RENAMED: dict[str, str] = {
    "HOST_IMAP": "IMAP_ADDRESS",
    "HOST_SMTP": "SMTP_ADDRESS",
    "HOST_ADMIN": "ADMIN_ADDRESS",
    "HOST_WEBMAIL": "WEBMAIL_ADDRESS",
    "HOST_WEBDAV": "WEBDAV_ADDRESS",
    "HOST_FRONT": "FRONT_ADDRESS",
    "HOST_REDIS": "REDIS_ADDRESS",
    "HOST_ANTISPAM": "ANTISPAM_ADDRESS",
    "HOST_ANTIVIRUS": "ANTIVIRUS_ADDRESS",
    "HOST_OLETOOLS": "OLETOOLS_ADDRESS",
    "POD_ADDRESS_RANGE": "SUBNET",
    "SESSION_LIFETIME": "PERMANENT_SESSION_LIFETIME",
    "BABEL_DEFAULT_LOCALE": "DEFAULT_LOCALE",
}
"""Names that mean the same as another one now."""

GENERIC = frozenset({"LD_PRELOAD", "DEBUG", "VERSION"})
"""Names that mean something to other programs as well, and are no news when they stand in the environment."""

CONSUMED = (
    "ENABLE_CERTBOT", "DB_FLAVOR", "DB_USER", "DB_PW", "DB_HOST", "DB_NAME", "DB_APPENDIX", "SQLITE_DATABASE_FILE",
    "ROUNDCUBE_DB_FLAVOR", "ROUNDCUBE_DB_USER", "ROUNDCUBE_DB_PW", "ROUNDCUBE_DB_HOST", "ROUNDCUBE_DB_NAME",
)  # fmt: skip
"""Names that together become another variable."""

KNOWN = frozenset(NO_EFFECT) | frozenset(RENAMED) | frozenset(CONSUMED)


@dataclass
class _Translation:
    """The values while they are being translated."""

    values: dict[str, str]
    notes: list[str] = field(default_factory=list)

    def put(self, name: str, value: str, *, instead_of: str) -> None:
        """Give *name* a value unless it has one, and say so."""
        if self.values.get(name):
            self.notes.append(f"{instead_of} is ignored, because {name} is given")
            return
        self.values[name] = value
        self.notes.append(f"{instead_of} is an old name; write {name} instead (it is understood)")


def translate(values: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return *values* in today's names, and a sentence for each line that was translated or has no effect."""
    given = {name: value for name, value in values.items() if name not in KNOWN}
    old = {name: value for name, value in values.items() if name in KNOWN and value.strip()}
    work = _Translation(given)
    for name in (name for name in NO_EFFECT if name in old):
        work.notes.append(f"{name} has no effect any more: {NO_EFFECT[name]}")
    for name, today in RENAMED.items():
        if name in old:
            value = re.sub(r":[0-9]+$", "", old[name]) if name.startswith("HOST_") else old[name]
            work.put(today, value, instead_of=name)
    for step in _STEPS:
        step(work, old)
    return work.values, work.notes


def _certbot(work: _Translation, old: Mapping[str, str]) -> None:
    if old.get("ENABLE_CERTBOT", "").strip().lower() in {"true", "yes", "1", "on"}:
        work.put("TLS_FLAVOR", "letsencrypt", instead_of="ENABLE_CERTBOT")


def _mail_flavors(work: _Translation, _old: Mapping[str, str]) -> None:
    """``mail`` and ``mail-letsencrypt`` were TLS for mail and plain HTTP behind a proxy."""
    flavor = work.values.get("TLS_FLAVOR", "").strip().lower()
    if flavor not in {"mail", "mail-letsencrypt"}:
        return
    today = "letsencrypt" if flavor == "mail-letsencrypt" else "cert"
    work.values["TLS_FLAVOR"] = today
    work.notes.append(f"TLS_FLAVOR={flavor} is an old value; write TLS_FLAVOR={today} and TLS=465,993,995 instead")
    if not work.values.get("TLS"):
        work.values["TLS"] = "465,993,995"


def _webmails(work: _Translation, _old: Mapping[str, str]) -> None:
    wanted = work.values.get("WEBMAIL", "").strip().lower()
    if wanted in {"snappymail", "rainloop"}:
        work.notes.append(f"WEBMAIL={wanted}: Roundcube is the webmail now; contacts can be imported")


def _filter(work: _Translation, _old: Mapping[str, str]) -> None:
    """``ANTISPAM=none`` could be said, and never had an effect."""
    wanted = work.values.get("ANTISPAM", "").strip().lower()
    if wanted in {"none", "no", "false", "off", "0"}:
        del work.values["ANTISPAM"]
        work.notes.append(f"ANTISPAM={wanted} has no effect: the filter is always on; users can be exempt from it")


def _single_database_variables(work: _Translation, old: Mapping[str, str]) -> None:
    if flavor := old.get("DB_FLAVOR", "").strip().lower():
        url = _database_url(flavor, old, prefix="DB_", user="mailu", file=old.get("SQLITE_DATABASE_FILE"))
        work.put("SQLALCHEMY_DATABASE_URI", url + old.get("DB_APPENDIX", ""), instead_of="DB_FLAVOR")
    elif "SQLITE_DATABASE_FILE" in old:
        work.put(
            "SQLALCHEMY_DATABASE_URI",
            _database_url("sqlite", old, prefix="DB_", user="", file=old["SQLITE_DATABASE_FILE"]),
            instead_of="SQLITE_DATABASE_FILE",
        )
    if (flavor := old.get("ROUNDCUBE_DB_FLAVOR", "").strip().lower()) and flavor != "sqlite":
        url = _database_url(flavor, old, prefix="ROUNDCUBE_DB_", user="roundcube", file=None)
        work.put("SQLALCHEMY_DATABASE_URI_ROUNDCUBE", url, instead_of="ROUNDCUBE_DB_FLAVOR")


def _database_url(flavor: str, old: Mapping[str, str], *, prefix: str, user: str, file: str | None) -> str:
    """Build the URL that Mailu built from single variables. A relative SQLite file is below ``/data``'s parent."""
    if flavor == "sqlite":
        path = file or "data/main.db"
        return f"sqlite:///{path}" if path.startswith("/") else f"sqlite:////{path}"
    name = old.get(f"{prefix}NAME", user)
    host = old.get(f"{prefix}HOST", "database")
    login = quote(old.get(f"{prefix}USER", user), safe="")
    password = quote(old.get(f"{prefix}PW", ""), safe="")
    return f"{flavor}://{login}:{password}@{host}/{name}"


def _container_paths(work: _Translation, _old: Mapping[str, str]) -> None:
    """SQLite files were in ``/data`` of their containers; find them below the root."""
    root = work.values.get("ROOT", "").strip().rstrip("/") or "/mailu"
    for name, folder in (("SQLALCHEMY_DATABASE_URI", "data"), ("SQLALCHEMY_DATABASE_URI_ROUNDCUBE", "webmail")):
        match = re.fullmatch(r"sqlite3?:////data/(.+)", work.values.get(name, "").strip())
        if match:
            work.values[name] = f"sqlite:///{root}/{folder}/{match[1]}"
            work.notes.append(f"{name}: /data is {root}/{folder} now (it is understood)")


_STEPS: tuple[Callable[[_Translation, Mapping[str, str]], None], ...] = (
    _certbot, _mail_flavors, _webmails, _filter, _single_database_variables, _container_paths,
)  # fmt: skip
