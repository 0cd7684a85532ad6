"""Pages: which there are, where, and how they look."""

from __future__ import annotations

from dataclasses import dataclass

from mailu.settings import values
from mailu.settings.fields import setting


@dataclass(frozen=True, kw_only=True)
class Web:
    """Web."""

    admin: bool = setting(values.boolean, True, "The web administration and people's own settings.")
    webmail: str | None = setting(
        values.optional(values.words("roundcube", same={"snappymail": "roundcube", "rainloop": "roundcube"})),
        "roundcube",
        "Webmail: roundcube or none.",
    )
    webdav: str | None = setting(
        values.optional(values.words("radicale")), None, "Calendars and contacts: radicale or none."
    )
    api: bool = setting(values.boolean, False, "The REST API.")
    api_token: str | None = setting(
        values.optional(values.matching(r"\S{4,}", "at least 4 characters without blanks")),
        None,
        "Token that may do everything through the API. Tokens with fewer rights are made in the administration.",
        secret=True,
    )
    web_admin: str = setting(values.url_path, "/admin", "Path of the administration.")
    web_webmail: str = setting(values.url_path, "/webmail", "Path of the webmail; / is possible.")
    web_api: str = setting(values.url_path, "/api", "Path of the API.")
    webroot_redirect: str | None = setting(
        values.webroot,
        None,
        "Where / and unknown paths lead to; none leaves them to ROOT/overrides/nginx.",
        default_note="the webmail, else the administration",
    )
    logo_url: str | None = setting(values.optional(values.url_or_path), None, "Picture in the pages' corner.")
    logo_background: str | None = setting(
        values.optional(values.matching(r"#[0-9A-Fa-f]{3,8}|[a-z]{3,20}", "a CSS colour such as #336699")),
        None,
        "Colour behind that picture.",
    )
    contact_url: str | None = setting(
        values.optional(values.url_or_path),
        None,
        "Page that says who runs this server; linked from every page and from the greeting page.",
    )
    default_locale: str = setting(values.locale, "en", "Language of pages when the browser wants none that we have.")
    roundcube_plugins: tuple[str, ...] = setting(
        values.plugin_names,
        ("archive", "carddav", "enigma", "managesieve", "markasjunk", "zipdownload"),
        "Roundcube's plug-ins; those that are not installed are left out.",
    )


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Databases."""

    sqlalchemy_database_uri: str | None = setting(
        values.optional(values.database_url),
        None,
        "Database of domains, users and settings: SQLite, PostgreSQL or MariaDB.",
        default_note="sqlite:///ROOT/data/main.db",
        secret=True,
    )
    sqlalchemy_database_uri_roundcube: str | None = setting(
        values.optional(values.database_url),
        None,
        "Database of the webmail.",
        default_note="sqlite:///ROOT/webmail/roundcube.db",
        secret=True,
    )
    database_poll: float = setting(
        values.seconds,
        0.2,
        "How often (seconds) to look whether another program has changed the database.",
    )
    ratelimit_storage_url: str | None = setting(
        values.optional(values.matching(r"(?:memory|redis|redis\+unix|unix)://\S*", "a URL such as redis://host/2")),
        None,
        "Where limits are counted.",
        default_note="the Redis service; memory when it is not there",
        secret=True,
    )
    session_storage_url: str | None = setting(
        values.optional(values.matching(r"(?:memory|redis|redis\+unix|unix)://\S*", "a URL such as redis://host/3")),
        None,
        "Where web sessions are kept.",
        default_note="the Redis service",
        secret=True,
    )
    memory_sessions: bool = setting(values.boolean, False, "Keep web sessions in memory; they end with a restart.")
