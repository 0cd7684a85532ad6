"""Dovecot: the mailboxes. IMAP, POP3 and ManageSieve for people, LMTP for Postfix.

One model, two dialects: Debian 12 has Dovecot 2.3, Debian 13 has 2.4, whose configuration language is another.
"""

from __future__ import annotations

from pathlib import Path

from mailu.daemons.dovecot import banner, checker, values
from mailu.daemons.dovecot.listeners import STARTTLS_PORTS, Login, addresses, cleartext_allowed, logins
from mailu.daemons.room import CheckResult, ConfigFile, Folder, Reload, RenderRequest
from mailu.daemons.rspamd.access import controller_password
from mailu.daemons.template import fill
from mailu.daemons.webmail_doors import Door, doors

PACKAGE = "mailu.daemons.dovecot"
DOVECOT = "/usr/sbin/dovecot"
OVERRIDE = "dovecot.conf"


class DovecotRoom:
    """The room of the service ``imap``."""

    name = "imap"
    overrides_folder: str | None = "dovecot"
    reload: Reload = "HUP"

    def __init__(self, system: Path = Path("/")) -> None:
        """*system* is the tree whose Dovecot is used: this machine, or in tests another Debian that is entered by
        chroot(8) and has the state root at the same place."""
        self.modules = system / "usr/lib/dovecot/modules"
        self._enter = () if system == Path("/") else ("/usr/sbin/chroot", str(system))

    def folders(self, request: RenderRequest) -> list[Folder]:
        """Where mail is kept, and what Dovecot makes itself at run time."""
        run = request.places.service(self.name)
        return [
            Folder(request.places.mail, "vmail", "vmail", 0o750),
            Folder(run),
            Folder(run / "base"),
            Folder(run / "state"),
            Folder(run / "learn", "vmail", "vmail", 0o700),
            *([Folder(request.places.fetch_lmtp.parent)] if request.settings.fetchmail_enabled else []),
        ]

    def render(self, request: RenderRequest) -> dict[str, ConfigFile]:
        """The configuration, the Lua script that asks the directory, Sieve scripts and their programs."""
        dialect = values.dialect(request.host)
        files = {
            "dovecot.conf": ConfigFile(self._configuration(request, dialect)),
            "directory.lua": ConfigFile(_directory_lua(request, dialect), 0o640, "root", "dovecot"),
            "programs/sendmail": ConfigFile(_sendmail(request), 0o755),
            "programs/passage": ConfigFile(_passage(request), 0o755),
            "programs/learn": ConfigFile(_learn(request), 0o750, "root", "vmail"),
        }
        for script in values.SIEVE_SCRIPTS:
            files[f"sieve/{script}"] = ConfigFile(fill(PACKAGE, f"templates/{script}"))
        if OVERRIDE in request.overrides:
            files["operator.conf"] = ConfigFile(request.overrides[OVERRIDE])
        return files

    def check(self, request: RenderRequest) -> CheckResult:
        """Let Dovecot's own tools read everything; compile the scripts; look at the certificates, which they do not."""
        notes = values.search_notes(request, self.modules)
        return checker.check(request, notes, self._enter)

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        """Dovecot's master process in the foreground."""
        return [*self._enter, DOVECOT, "-F", "-c", str(etc / "dovecot.conf")]

    def environment(self, request: RenderRequest) -> dict[str, str]:
        """Nothing; the time zone of automatic replies comes with TZ."""
        return {}

    def user(self) -> str | None:
        """None: the master runs as root, and gives each service another user."""
        return None

    def ready(self, request: RenderRequest) -> str | None:
        """Every listener and LMTP greet."""
        return banner.ask(request)

    def _configuration(self, request: RenderRequest, dialect: str) -> str:
        settings, places, host = request.settings, request.places, request.host
        found = logins(settings, processors=host.cpus)
        limits = values.limits(settings, found, host.cpus)
        run = places.service(self.name)
        return fill(
            PACKAGE,
            f"templates/dovecot-{dialect}.conf",
            # What processes open later stands under the link: sessions live longer than the folder they began with.
            etc=run / "etc",
            base_dir=run / "base",
            state_dir=run / "state",
            instance_name=values.instance_name(settings),
            debug=settings.log_level == "DEBUG",
            submit_group=values.SUBMIT_GROUP,
            greeting=values.greeting(settings),
            listen=values.listen_words(addresses(settings, ipv6=host.ipv6)),
            logins=found,
            webmail=_webmail(request),
            proxies=_proxies(request, found),
            tls=values.tls(settings),
            certificates=values.certificates(request),
            cleartext_allowed=cleartext_allowed(settings),
            small=settings.small_host,
            quota_dict=places.quota_dict,
            mailbox_lookups=places.mailbox_lookups,
            lmtp=places.lmtp,
            fetch_lmtp=places.fetch_lmtp if settings.fetchmail_enabled else "",
            hostname=settings.hostname,
            postmaster=values.escape(str(settings.postmaster_address)),
            delimiters=values.escape(settings.recipient_delimiter),
            max_connections=settings.imap_max_connections,
            compression=settings.compression or "",
            compression_level=settings.compression_level or 0,
            search=values.search(request, self.modules),
            languages=values.search_languages(settings),
            tika=values.tika(settings),
            operator=OVERRIDE in request.overrides,
            **limits,
        )


def _proxies(request: RenderRequest, found: list[Login]) -> list[str]:
    """The networks that are believed; none where no listener speaks the PROXY protocol."""
    if not any(listener.proxied for login in found for listener in login.open_listeners):
        return []
    return [str(network) for network in request.settings.real_ip_from]


def _directory_lua(request: RenderRequest, dialect: str) -> str:
    cleartext = cleartext_allowed(request.settings)
    return fill(
        PACKAGE,
        "templates/directory.lua",
        dialect=dialect,
        port=request.host.directory_port,
        secret=request.host.directory_secret,
        mail=request.places.mail,
        delimiters=values.lua_quoted(request.settings.recipient_delimiter),
        cleartext_refused_on=sorted(STARTTLS_PORTS) if cleartext else [],
        webmail_ports=sorted(door.port for door in _webmail(request).values()),
    )


def _webmail(request: RenderRequest) -> dict[str, Door]:
    """Log-in service to the listener that only the webmail uses."""
    found = doors(request.settings, request.host)
    return {} if found is None else {"imap-login": found.imap, "managesieve-login": found.sieve}


def _sendmail(request: RenderRequest) -> str:
    return fill(
        PACKAGE,
        "templates/sendmail",
        socket=request.places.service("imap") / "base" / "submit",
        hostname=request.settings.hostname,
    )


def _passage(request: RenderRequest) -> str:
    socket = request.places.mail_queue / "public" / values.SUBMIT_SOCKET
    return fill(PACKAGE, "templates/passage", socket=socket)


def _learn(request: RenderRequest) -> str:
    settings, places = request.settings, request.places
    address = settings.antispam_address
    return fill(
        PACKAGE,
        "templates/learn",
        spool=places.service("imap") / "learn",
        controller=f"{address}:{values.CONTROLLER_PORT}" if address else str(places.filter_controller),
        password=controller_password(settings),
    )
