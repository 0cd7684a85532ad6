"""The room of nginx: everything over HTTP, and nothing of mail.

The site stands in ``site.conf`` and is read by every server block that shows it: one for each certificate on port 443,
and port 80 where TLS is off or ends before us. The administration, the filter's pages, the webmail and the calendars
are services behind sockets; when one of them is away a calm page says so. A certificate that is missing or bad never
closes the door: a self-signed one is used, and ``/`` says for which name and why.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mailu.daemons.nginx.health import ask_health
from mailu.daemons.nginx.tls_profiles import PROFILES
from mailu.daemons.radicale.room import service_key
from mailu.daemons.room import CheckResult, ConfigFile, Folder, Reload, RenderRequest
from mailu.daemons.rspamd import controller_for_web
from mailu.daemons.rspamd.access import controller_password
from mailu.daemons.template import fill
from mailu.identity.pairs import is_self_signed_pair
from mailu.places import Places
from mailu.settings import Settings

SERVER = "/usr/sbin/nginx"
USER = "www-data"

WEBMAIL_FOLDER = Path("/var/lib/roundcube/public_html")
DISCOVERY = (
    "/mail/config-v1.1.xml",
    "/.well-known/autoconfig/mail/config-v1.1.xml",
    "/.well-known/mta-sts.txt",
    "/apple.mobileconfig",
    "/mobileconfig",
)

_BODY_ALLOWANCE_BYTES = 8 * 1024 * 1024
_MOST_WORKERS = 4
_CHECK_SECONDS = 30
_HTTP2_DIRECTIVE_SINCE_DEBIAN = 13
_LEVELS = {"DEBUG": "info", "INFO": "notice", "WARNING": "warn", "ERROR": "error", "CRITICAL": "crit"}
_MESSAGE = re.compile(r"(?:\S+ \S+ \[(\w+)\] \d+#\d+:|nginx: \[(\w+)\]) (?:\*\d+ )?(.*)")


def acme_folder(places: Places) -> Path:
    """Where challenges are put: files below ``.well-known/acme-challenge/``, as certbot's webroot has it."""
    return places.acme


@dataclass(frozen=True, slots=True)
class _Pair:
    """One server block: the names that share a certificate."""

    chain: Path
    key: Path
    names: tuple[str, ...]
    default: bool
    trusted: bool
    rsa: tuple[Path, Path] | None = None
    """A second pair, for clients without ECDSA."""


class Nginx:
    """nginx; its workers run as www-data, its master reads the keys as root."""

    name = "front"
    overrides_folder: str | None = "nginx"
    reload: Reload = "HUP"

    def folders(self, request: RenderRequest) -> list[Folder]:
        """Scratch space, and the folder for challenges."""
        run = request.places.service(self.name)
        return [Folder(run), Folder(run / "tmp"), Folder(acme_folder(request.places))]

    def render(self, request: RenderRequest) -> dict[str, ConfigFile]:
        """``nginx.conf``, the site and its parts, the static pages, the operator's ``*.conf`` files."""
        settings = request.settings
        overrides = {f"overrides/{n}": ConfigFile(t) for n, t in request.overrides.items() if _is_ours(n)}
        # The password of the filter's pages stands in site.conf.
        files = {
            "nginx.conf": ConfigFile(_main(request)),
            "site.conf": ConfigFile(_site(request, sorted(overrides)), mode=0o600),
            "headers.conf": ConfigFile(fill(__name__, "headers.conf")),
            "proxy.conf": ConfigFile(fill(__name__, "proxy.conf")),
            "acme.conf": ConfigFile(fill(__name__, "acme.conf", acme=acme_folder(request.places))),
            **_pages(request),
            **overrides,
        }
        if settings.webmail:
            files["webmail.conf"] = ConfigFile(_webmail(request))
        if settings.webdav:
            # The key that nginx proves itself with stands in it.
            text = fill(__name__, "webdav.conf", etc=request.etc, key=service_key(settings))
            files["webdav.conf"] = ConfigFile(text, mode=0o600)
        return files

    def check(self, request: RenderRequest) -> CheckResult:
        """``nginx -t``, which reads certificates too."""
        done = subprocess.run(
            [SERVER, "-t", "-c", str(request.etc / "nginx.conf"), "-e", "stderr"],
            capture_output=True,
            text=True,
            timeout=_CHECK_SECONDS,
            check=False,
        )
        return read_words(done.returncode, done.stderr)

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        """nginx in the foreground. Without ``-e`` it would first open the log that was compiled in."""
        return [SERVER, "-c", str(etc / "nginx.conf"), "-e", "stderr", "-g", "daemon off;"]

    def environment(self, request: RenderRequest) -> dict[str, str]:
        """Nothing beside the usual."""
        return {}

    def user(self) -> str | None:
        """Started as root: it binds low ports and reads the keys."""
        return None

    def ready(self, request: RenderRequest) -> str | None:
        """Ask for /health on the first port that is open."""
        return ask_health(request.settings)


def read_words(returncode: int, words: str) -> CheckResult:
    """Sort what ``nginx -t`` said: what it calls a warning is a note, everything worse is a problem."""
    found = [(match[1] or match[2], match[3]) for line in words.splitlines() if (match := _MESSAGE.match(line.strip()))]
    if returncode == 0:
        return CheckResult(notes=tuple(text for level, text in found if level == "warn"))
    problems = tuple(text for level, text in found if level not in ("warn", "notice", "info"))
    return CheckResult(problems=problems or (words.strip() or f"nginx -t ended with {returncode}",))


def _is_ours(name: str) -> bool:
    """Mailu kept files for its mail proxy in a folder below; they mean nothing to this nginx."""
    return name.endswith(".conf") and "/" not in name


def _main(request: RenderRequest) -> str:
    settings, places = request.settings, request.places
    pairs = _pairs(request) if 443 in settings.tls_listening_ports else []
    return fill(
        __name__,
        "nginx.conf",
        etc=request.etc,
        user=USER,
        run=places.service(Nginx.name),
        workers=1 if settings.small_host else min(_MOST_WORKERS, request.host.cpus),
        small=settings.small_host,
        error_level=_LEVELS[settings.log_level],
        body_bytes=settings.message_size_limit + _BODY_ALLOWANCE_BYTES,
        hostname=settings.hostname,
        proxies=settings.real_ip_from,
        real_ip_header="proxy_protocol" if _web_proxy_protocol(settings) else settings.real_ip_header or "",
        profile=PROFILES[settings.tls_profile_of("web")],
        admin=_upstream(settings.admin_address, 8080, places.admin_socket),
        filter=_upstream(settings.antispam_address, 11334, controller_for_web(places)),
        webdav=_upstream(settings.webdav_address, 5232, places.webdav_socket) if settings.webdav else "",
        web_is_plain=settings.web_is_plain,
        plain_listeners=_listeners(request, 80),
        offloaded_listeners=[] if 443 in settings.tls_listening_ports else _listeners(request, 443),
        tls_listeners=_listeners(request, 443, tls=True),
        tls_pairs=pairs,
        http2_directive=request.host.debian >= _HTTP2_DIRECTIVE_SINCE_DEBIAN,
    )


def _site(request: RenderRequest, overrides: list[str]) -> str:
    settings = request.settings
    webmail_at_root = bool(settings.webmail) and settings.web_webmail == "/"
    homepage = settings.homepage
    return fill(
        __name__,
        "site.conf",
        etc=request.etc,
        shows_sso=settings.admin or bool(settings.webmail),
        discovery=DISCOVERY,
        web_admin=settings.web_admin if settings.admin else "",
        web_api=settings.web_api if settings.api else "",
        filter_password=controller_password(settings),
        webmail_php=bool(settings.webmail),
        webdav=bool(settings.webdav),
        overrides=overrides,
        owns_root=settings.webroot_redirect != "none" and not webmail_at_root,
        homepage=homepage or "",
        homepage_is_ours=bool(homepage) and homepage is not None and homepage.startswith("/"),
    )


def _webmail(request: RenderRequest) -> str:
    settings = request.settings
    return fill(
        __name__,
        "webmail.conf",
        etc=request.etc,
        prefix=settings.web_webmail.rstrip("/"),
        folder=WEBMAIL_FOLDER,
        php=_upstream(settings.webmail_address, 9000, request.places.webmail_php),
    )


def _pages(request: RenderRequest) -> dict[str, ConfigFile]:
    settings = request.settings
    certificate = fill(
        __name__,
        "pages/certificate.html",
        sitename=settings.sitename,
        problems=request.certificate_problems,
        letsencrypt=settings.tls_flavor == "letsencrypt",
        chain=request.places.certs / settings.tls_cert_filename,
        key=request.places.certs / settings.tls_keypair_filename,
        homepage=settings.homepage or "",
    )
    unavailable = fill(__name__, "pages/unavailable.html", sitename=settings.sitename)
    return {
        "pages/certificate.html": ConfigFile(certificate),
        "pages/unavailable.html": ConfigFile(unavailable),
    }


def _pairs(request: RenderRequest) -> list[_Pair]:
    """The certificates with the names that they are for; the first one also answers for every other name."""
    names: dict[tuple[Path, Path], list[str]] = {}
    for name, chain, key in (*request.certificates, *request.web_certificates):
        names.setdefault((chain, key), []).append(name)
    rsa = {name: (chain, key) for name, chain, key in request.rsa_certificates}
    return [
        _Pair(
            chain,
            key,
            tuple(shared),
            default=index == 0,
            trusted=not is_self_signed_pair(chain),
            rsa=rsa.get(shared[0]),
        )
        for index, ((chain, key), shared) in enumerate(names.items())
    ]


def _listeners(request: RenderRequest, port: int, *, tls: bool = False) -> list[str]:
    """What follows ``listen`` for *port* on every address; empty when the port is not opened."""
    settings = request.settings
    if port not in settings.listening_ports:
        return []
    options = " ssl" if tls else ""
    if tls and request.host.debian < _HTTP2_DIRECTIVE_SINCE_DEBIAN:
        options += " http2"
    if port in settings.proxy_protocol:
        options += " proxy_protocol"
    return [
        f"{f'[{address}]' if ':' in address else address}:{port}{options}"
        for address in settings.bind_addresses
        if request.host.ipv6 or ":" not in address
    ]


def _web_proxy_protocol(settings: Settings) -> bool:
    return bool(settings.proxy_protocol & {80, 443})


def _upstream(address: str | None, port: int, path: Path) -> str:
    return f"{address}:{port}" if address else f"unix:{path}"


ROOM = Nginx()
