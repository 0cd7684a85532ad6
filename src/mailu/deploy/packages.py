"""The Debian packages that Mailu's services are made of, and which of them these settings need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mailu.settings import Settings


@dataclass(frozen=True, slots=True)
class Package:
    """A package, a file that is only there while it is installed, and the settings that need it.

    *units*: the services that the distribution would start. *release*: only on this Debian release.
    """

    name: str
    proof: str
    wanted: Callable[[Settings], bool] = lambda _: True
    units: tuple[str, ...] = ()
    release: int | None = None

    def installed(self, root: Path = Path("/")) -> bool:
        """Whether the file is there; some thousand times faster than asking dpkg."""
        return (root / self.proof.lstrip("/")).exists()


def _full_text_search(settings: Settings) -> bool:
    return bool(settings.full_text_search)


def _webmail(settings: Settings) -> bool:
    return settings.webmail is not None


def _webmail_in(*databases: str) -> Callable[[Settings], bool]:
    """With its data in one of these databases."""

    def wanted(settings: Settings) -> bool:
        return _webmail(settings) and settings.roundcube_database_uri.startswith(databases)

    return wanted


def _openpgp(settings: Settings) -> bool:
    return _webmail(settings) and "enigma" in settings.roundcube_plugins


def _fetching(settings: Settings) -> bool:
    return settings.fetchmail_enabled


def _antivirus(settings: Settings) -> bool:
    return settings.antivirus is not None


_CLAMAV_UNITS = ("clamav-daemon.service", "clamav-daemon.socket")
_DOVECOT_MODULES = "/usr/lib/dovecot/modules"
_DOVECOT_UNITS = ("dovecot.service", "dovecot.socket")

PACKAGES: tuple[Package, ...] = (
    Package("ca-certificates", "/etc/ssl/certs/ca-certificates.crt"),
    Package("debconf", "/usr/bin/debconf-set-selections"),
    Package("tzdata", "/usr/share/zoneinfo/Etc/UTC"),
    Package("postfix", "/usr/sbin/postfix", units=("postfix.service",)),
    Package("postfix-lmdb", "/usr/lib/postfix/postfix-lmdb.so"),
    Package("postfix-pcre", "/usr/lib/postfix/postfix-pcre.so"),
    # What Postfix logs in at smart hosts with; only recommended by the library that it comes for.
    Package("libsasl2-modules", "/usr/share/doc/libsasl2-modules"),
    Package("dovecot-core", "/usr/sbin/dovecot", units=_DOVECOT_UNITS),
    Package("dovecot-imapd", "/usr/lib/dovecot/imap"),
    Package("dovecot-pop3d", "/usr/lib/dovecot/pop3"),
    Package("dovecot-lmtpd", "/usr/lib/dovecot/lmtp"),
    Package("dovecot-managesieved", "/usr/lib/dovecot/managesieve"),
    Package("dovecot-sieve", "/usr/bin/sievec"),
    Package("dovecot-auth-lua", f"{_DOVECOT_MODULES}/auth/libauthdb_lua.so"),
    Package(
        "dovecot-fts-xapian", f"{_DOVECOT_MODULES}/lib21_fts_xapian_plugin.so", wanted=_full_text_search, release=12
    ),
    Package(
        "dovecot-flatcurve", f"{_DOVECOT_MODULES}/lib21_fts_flatcurve_plugin.so", wanted=_full_text_search, release=13
    ),
    Package("rspamd", "/usr/bin/rspamd", units=("rspamd.service",)),
    Package("nginx", "/usr/sbin/nginx", units=("nginx.service",)),
    Package("redis-server", "/usr/bin/redis-server", units=("redis-server.service",)),
    Package("unbound", "/usr/sbin/unbound", units=("unbound.service",)),
    Package("unbound-anchor", "/usr/sbin/unbound-anchor"),
    Package("dns-root-data", "/usr/share/dns/root.key"),
    # php-fpm before everything that needs PHP: else apt takes Apache's module for it, and Apache with it.
    Package("php8.2-fpm", "/usr/sbin/php-fpm8.2", _webmail, units=("php8.2-fpm.service",), release=12),
    Package("php8.4-fpm", "/usr/sbin/php-fpm8.4", _webmail, units=("php8.4-fpm.service",), release=13),
    Package("php-intl", "/usr/share/doc/php-intl", _webmail),
    Package("php-mbstring", "/usr/share/doc/php-mbstring", _webmail),
    Package("php-xml", "/usr/share/doc/php-xml", _webmail),
    Package("php-zip", "/usr/share/doc/php-zip", _webmail),
    Package("php-curl", "/usr/share/doc/php-curl", _webmail),
    Package("php8.2-pspell", "/usr/lib/php/20220829/pspell.so", _webmail, release=12),
    Package("php8.4-pspell", "/usr/lib/php/20240924/pspell.so", _webmail, release=13),
    Package("aspell-en", "/usr/lib/aspell/en.multi", _webmail),  # pspell checks nothing without a dictionary
    Package("php-sqlite3", "/usr/share/doc/php-sqlite3", _webmail_in("sqlite")),
    Package("php-pgsql", "/usr/share/doc/php-pgsql", _webmail_in("postgresql")),
    Package("php-mysql", "/usr/share/doc/php-mysql", _webmail_in("mysql", "mariadb")),
    Package("roundcube-core", "/usr/share/roundcube/index.php", _webmail),
    Package("roundcube-sqlite3", "/usr/share/doc/roundcube-sqlite3", _webmail_in("sqlite")),
    Package("roundcube-plugins", "/usr/share/roundcube/plugins/managesieve/managesieve.php", _webmail),
    Package("php-crypt-gpg", "/usr/share/php/Crypt/GPG.php", _openpgp),
    Package("gnupg", "/usr/bin/gpg", _openpgp),
    Package("fetchmail", "/usr/bin/fetchmail", _fetching, units=("fetchmail.service",)),
    Package("clamav-daemon", "/usr/sbin/clamd", _antivirus, units=_CLAMAV_UNITS),
    Package("clamav-freshclam", "/usr/bin/freshclam", _antivirus, units=("clamav-freshclam.service",)),
)

TEST_PACKAGES: tuple[Package, ...] = (
    Package("postgresql", "/usr/lib/postgresql", units=("postgresql.service",)),
    Package("mariadb-server", "/usr/sbin/mariadbd", units=("mariadb.service",)),
    Package("chromium", "/usr/bin/chromium"),
    Package("fetchmail", "/usr/bin/fetchmail", units=("fetchmail.service",)),
    Package("fail2ban", "/usr/bin/fail2ban-client", units=("fail2ban.service",)),
    Package("swaks", "/usr/bin/swaks"),
    Package("openssl", "/usr/bin/openssl"),
    Package("procps", "/usr/bin/ps"),
    Package("pebble", "/usr/bin/pebble"),
    Package("knot", "/usr/sbin/knotd", units=("knot.service",)),
    Package("testssl.sh", "/usr/bin/testssl"),
    Package("chrony", "/usr/sbin/chronyd", units=("chrony.service",)),
    Package("thunderbird", "/usr/bin/thunderbird"),
    Package("libnss3-tools", "/usr/bin/certutil"),
)
"""What the project's own tests need beside."""


def missing_packages(settings: Settings, release: int, *, tests: bool = False, root: Path = Path("/")) -> list[Package]:
    """The packages that *settings* need on this Debian *release* and that are not installed."""
    table: Sequence[Package] = (*PACKAGES, *TEST_PACKAGES) if tests else PACKAGES
    wanted = [package for package in table if package.release in (None, release) and package.wanted(settings)]
    return [package for package in wanted if not package.installed(root)]
