"""What the templates are filled with: facts worked out of the settings, in the words of PHP and Roundcube."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import make_url

from mailu.daemons.room import Host, RenderRequest
from mailu.daemons.webmail_doors import IMAP_PORT, LOOPBACK, SIEVE_PORT, SMTP_PORT
from mailu.settings import Settings

MIB = 1024 * 1024
UPLOAD_SHARE = 0.66
"""An attachment grows by a third when it is encoded; the rest is for the text."""
PLUGINS = Path("/usr/share/roundcube/plugins")
OWN_PLUGIN = "mailu"
CRYPT_GPG = Path("/usr/share/php/Crypt/GPG.php")
ASPELL = Path("/usr/lib/aspell")

_MOST_MEMORY_MIB = 512
_PHP_OF_DEBIAN = {12: "8.2", 13: "8.4"}
_DRIVERS = {"postgresql": "pgsql", "mysql": "mysql", "mariadb": "mysql"}
_LANGUAGES = (("en", "English"), ("de", "Deutsch"), ("es", "Español"), ("fr", "Français"), ("it", "Italiano"),
              ("nl", "Nederlands"), ("pl", "Polski"), ("pt", "Português"),
              ("ru", "Русский"), ("uk", "Українська"))  # fmt: skip
DANGEROUS = (
    "exec", "passthru", "shell_exec", "system", "proc_open", "proc_close", "proc_get_status", "proc_nice",
    "proc_terminate", "popen", "pcntl_exec", "pcntl_fork", "dl", "mail", "show_source", "highlight_file", "phpinfo",
    "symlink", "link", "chown", "chgrp", "lchown", "lchgrp", "posix_kill", "posix_setuid", "posix_setgid",
    "posix_mkfifo", "socket_listen", "socket_bind", "stream_socket_server", "apache_child_terminate",
)  # fmt: skip
"""Functions that Roundcube needs for nothing; an attacker who can run PHP wants them first."""
_NEEDED_BY_GPG = frozenset({"proc_open", "proc_close", "proc_get_status", "proc_terminate"})


def php_server(host: Host) -> str:
    """php-fpm of this Debian release."""
    return f"/usr/sbin/php-fpm{_version(host)}"


def php_program(host: Host) -> str:
    """The command-line PHP of this Debian release."""
    return f"/usr/bin/php{_version(host)}"


def _version(host: Host) -> str:
    return _PHP_OF_DEBIAN.get(host.debian, _PHP_OF_DEBIAN[max(_PHP_OF_DEBIAN)])


def quoted(value: object) -> str:
    """*value* as a string of PHP in single quotes."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def dsn(settings: Settings) -> str:
    """The database in Roundcube's words (MDB2 DSN) from the URL of the settings (SQLAlchemy's)."""
    url = make_url(settings.roundcube_database_uri)
    kind = url.get_backend_name()
    if kind == "sqlite":
        return f"sqlite:///{url.database}?mode=0640"
    user = quote(url.username or "", safe="")
    password = f":{quote(url.password, safe='')}" if url.password else ""
    port = f":{url.port}" if url.port else ""
    name = url.host or "localhost"
    host = f"[{name}]" if ":" in name else name
    return f"{_DRIVERS[kind]}://{user}{password}@{host}{port}/{url.database}"


def upload_mib(settings: Settings) -> int:
    """The largest upload, in MiB."""
    return max(1, int(settings.message_size_limit * UPLOAD_SHARE / MIB))


def memory_mib(settings: Settings) -> int:
    """What one script may take: a message is in memory twice while it is taken apart."""
    return min(_MOST_MEMORY_MIB, 128 + 2 * settings.message_size_limit // MIB)


def servers(request: RenderRequest) -> tuple[str, dict[str, str]]:
    """The scheme of the connections (empty: as they are) and where IMAP, SMTP and Sieve are reached."""
    settings, host = request.settings, request.host
    if settings.imap_address is None and settings.smtp_address is None and settings.webmail_address is None:
        ports = (host.webmail_imap_port, host.webmail_smtp_port, host.webmail_sieve_port)
        return "", dict(zip(("imap", "smtp", "sieve"), (f"{LOOPBACK}:{port}" for port in ports), strict=True))
    scheme = "tls://" if settings.has_tls else ""
    imap, smtp = settings.imap_address or LOOPBACK, settings.smtp_address or LOOPBACK
    return scheme, {
        "imap": f"{scheme}{imap}:{IMAP_PORT}",
        "smtp": f"{scheme}{smtp}:{SMTP_PORT}",
        "sieve": f"{scheme}{imap}:{SIEVE_PORT}",
    }


def plugins(settings: Settings, folder: Path = PLUGINS, crypt_gpg: Path = CRYPT_GPG) -> tuple[list[str], list[str]]:
    """The plug-ins to load, ours first, and those that were asked for and are not installed."""
    wanted = [name for name in dict.fromkeys(settings.roundcube_plugins) if name != OWN_PLUGIN]
    there = [name for name in wanted if _is_there(name, folder, crypt_gpg)]
    return [OWN_PLUGIN, *there], [name for name in wanted if name not in there]


def _is_there(name: str, folder: Path, crypt_gpg: Path) -> bool:
    if name == "enigma" and not crypt_gpg.exists():
        return False
    return (folder / name / f"{name}.php").exists()


def disabled_functions(loaded: list[str]) -> list[str]:
    """PHP functions that are switched off. The plug-in for OpenPGP runs gpg, so it needs some of them."""
    return [name for name in DANGEROUS if not ("enigma" in loaded and name in _NEEDED_BY_GPG)]


def spelling(host: Host, dictionaries: Path = ASPELL) -> list[tuple[str, str]]:
    """Languages whose spelling can be checked here: code and name."""
    if not Path(f"/etc/php/{_version(host)}/fpm/conf.d/20-pspell.ini").exists():
        return []
    return [(code, name) for code, name in _LANGUAGES if (dictionaries / f"{code}.multi").exists()]
