"""The room of Rspamd: it judges and signs mail for Postfix, and learns from people.

The package's own configuration is used with ours in ``local.d``. Nothing is fetched from the Internet but DNS answers:
lists come with the package, keys and domains from the directory on this machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mailu.daemons.oletools.room import port as oletools_port
from mailu.daemons.redis import password as redis_password
from mailu.daemons.room import CheckResult, ConfigFile, Folder, Host, Reload, RenderRequest
from mailu.daemons.rspamd.access import controller_password
from mailu.daemons.rspamd.checker import compile_expressions, configuration_problems
from mailu.daemons.rspamd.compiler import end_idle_compiler
from mailu.daemons.rspamd.milter import ask_milter, ask_worker
from mailu.daemons.rspamd.overrides import merge
from mailu.daemons.template import fill
from mailu.places import Places

SERVER = "/usr/bin/rspamd"
ADMIN = "/usr/bin/rspamadm"
USER = "_rspamd"
STOCK = Path("/etc/rspamd/rspamd.conf")

_MOST_SCANNERS = 4
_TASK_SECONDS = 8
_TASK_SECONDS_WITH_SCANNERS = 30
_SCANNER_SECONDS = 12
_LEVELS = {"DEBUG": "info", "INFO": "notice", "WARNING": "warning", "ERROR": "error", "CRITICAL": "error"}

_CONFIGURATION = (
    "actions.conf", "antispoof_exempt.map", "antivirus.conf", "classifier-bayes.conf", "composites.conf",
    "disposable.map", "dmarc.conf", "external_services.conf", "external_services_group.conf", "force_actions.conf",
    "forbidden_file_extension.map", "freemail.map", "fuzzy_check.conf", "fuzzy_group.conf", "greylist.conf",
    "logging.inc", "milter_headers.conf", "options.inc", "phishing_whitelist.map", "rbl.conf", "settings.conf",
    "worker-fuzzy.inc", "worker-normal.inc", "worker-proxy.inc",
)  # fmt: skip
_LISTS = ("mid.conf", "mime_types.conf", "options.inc", "phishing.conf", "rbl.conf", "whitelist.conf")
"""In ``override.d``: a list in ``local.d`` would be added to the package's, here it takes its place."""
_SECRET = ("arc.conf", "dkim_signing.conf", "multimap.conf", "redis.conf", "worker-controller.inc")
"""Files with passwords in them: for root and Rspamd's user only."""
_LUA = ("rspamd.local.lua", "signing_keys.lua")
_DISABLED = (
    "asn", "aws_s3", "bimi", "clickhouse", "dcc", "elastic", "emails", "external_relay", "http_headers",
    "metadata_exporter", "metric_exporter", "mx_check", "neural", "p0f", "ratelimit", "reputation", "rspamd_update",
    "spamassassin", "spamtrap", "trie", "url_redirector",
)  # fmt: skip
"""Modules that are not used; an operator who overrides one has it back."""


def controller_for_web(places: Places) -> Path:
    """The controller's socket for the web server; the other one is for the mail store's user."""
    return places.filter_controller.with_name("controller-web")


def _scan_socket(places: Places) -> Path:
    """Where the proxy hands messages to the scanners."""
    return places.milter.with_name("scan")


class Rspamd:
    """Rspamd: a milter proxy, scanners behind it, and the controller."""

    name = "antispam"
    overrides_folder: str | None = "rspamd"
    reload: Reload = "HUP"

    def folders(self, request: RenderRequest) -> list[Folder]:
        """The filter's own state, and the folder of its sockets; each socket has the group that may open it."""
        return [
            Folder(request.places.filter, USER, USER, 0o750),
            Folder(request.places.milter.parent, USER, USER, 0o755),
        ]

    def render(self, request: RenderRequest) -> dict[str, ConfigFile]:
        """``local.d``, ``override.d``, the rules in Lua, and the operator's files: see ``overrides.merge``."""
        values = _values(request)
        plain = [*(f"local.d/{name}" for name in _CONFIGURATION), *(f"override.d/{name}" for name in _LISTS), *_LUA]
        secret = [f"local.d/{name}" for name in _SECRET]
        shipped = {name: ConfigFile(fill(__name__, name, **values)) for name in plain}
        shipped |= {name: ConfigFile(fill(__name__, name, **values), mode=0o640, group=USER) for name in secret}
        stub = ConfigFile(fill(__name__, "local.d/disabled.conf"))
        shipped |= {f"local.d/{name}.conf": stub for name in _DISABLED if f"{name}.conf" not in request.overrides}
        lists = fill(__name__, "sender_lists.lua", **values)
        shipped["sender_lists.lua"] = ConfigFile(lists, mode=0o640, group=USER)
        if request.settings.small_host:
            shipped["suffixes.txt"] = ConfigFile(fill(__name__, "suffixes.txt"))
        return merge(shipped, request.overrides, request.etc)

    def check(self, request: RenderRequest) -> CheckResult:
        """``rspamadm configtest -s``: syntax, and options that nobody knows. Before the first start also compiles
        the expressions, which takes some seconds of processor time."""
        program = [ADMIN, *_variables(request, request.etc, "--var=")]
        problems = configuration_problems(program, STOCK)
        if not problems:
            compile_expressions(program, STOCK, request.places.filter, small=request.settings.small_host)
        return CheckResult(problems=problems)

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        """Rspamd in the foreground; its workers run as its own user."""
        variables = [word for setting in _variables(request, etc, "") for word in ("--var", setting)]
        return [SERVER, "-f", "-u", USER, "-g", USER, "-c", str(STOCK), *variables]

    def environment(self, request: RenderRequest) -> dict[str, str]:
        """Nothing beside the usual."""
        return {}

    def user(self) -> str | None:
        """Started as root: it gives its sockets to the groups that may open them."""
        return None

    def ready(self, request: RenderRequest) -> str | None:
        """Greet it as Postfix would, and ping what stands behind: a proxy that takes a message before a scanner listens
        dies of it."""
        places = request.places
        workers = [places.filter_controller] + ([] if request.settings.small_host else [_scan_socket(places)])
        reasons = (ask_worker(path) for path in workers)
        return next((reason for reason in reasons if reason), None) or ask_milter(places.milter)

    def tidy(self, daemon: int) -> None:
        """End the compiler of expressions when it is done: it would keep its memory."""
        end_idle_compiler(daemon)


def dmarc_report_command(request: RenderRequest, etc: Path) -> list[str]:
    """The program that sends yesterday's aggregate reports (RFC 7489 s7.2): to be run once a day, as root."""
    return [ADMIN, *_variables(request, etc, "--var="), "dmarc_report", "-c", str(STOCK)]


def _variables(request: RenderRequest, etc: Path, prefix: str) -> list[str]:
    places = request.places
    run = places.milter.parent
    folders = {"LOCAL_CONFDIR": etc, "DBDIR": places.filter, "RUNDIR": run, "LOGDIR": run}
    return [f"{prefix}{name}={path}" for name, path in folders.items()]


@dataclass(frozen=True, slots=True)
class _Scanners:
    """Where the optional scanners answer; empty when they are switched off."""

    antivirus: str
    oletools: str


def _scanners(request: RenderRequest) -> _Scanners:
    settings, places = request.settings, request.places
    clamd = f"{settings.antivirus_address}:3310" if settings.antivirus_address else str(places.run / "antivirus/clamd")
    oletools = f"{settings.oletools_address or '127.0.0.1'}:{oletools_port(request)}"
    return _Scanners(clamd if settings.antivirus else "", oletools if settings.scan_macros else "")


def _resolver_port(host: Host) -> int:
    """The port of our own resolver, 0 for the system's.

    Where nobody resolves anything our own says so at once; the system's would keep each message waiting for seconds.
    """
    return host.resolver_port or (0 if host.resolves else host.unbound_port)


def _values(request: RenderRequest) -> dict[str, object]:
    settings, places, host = request.settings, request.places, request.host
    scanners = _scanners(request)
    small = settings.small_host
    directory = f"{settings.directory_address or '127.0.0.1'}:{host.directory_port}"
    return {
        "user": USER,
        "small": small,
        "network": bool(settings.antispam_address),
        "level": _LEVELS[settings.log_level],
        "milter": places.milter,
        "scan": _scan_socket(places),
        "controller": places.filter_controller,
        "controller_web": controller_for_web(places),
        "password": controller_password(settings),
        "scanners": min(_MOST_SCANNERS, host.cpus),
        "fuzzy_port": 0 if small else host.fuzzy_port,
        "redis": f"{settings.redis_address}:6379" if settings.redis_address else places.redis_socket,
        "redis_password": redis_password(settings),
        "resolver_port": _resolver_port(host),
        "block_lists": host.resolves and (bool(host.resolver_port) or host.resolver_validates),
        "local_networks": settings.relaynets,
        "directory": f"http://{directory}",
        "directory_secret": host.directory_secret,
        "domains_map": f"http://rspamd:{host.directory_secret}@{directory}/rspamd/local_domains",
        "greylist_score": settings.greylist_score,
        "add_header_score": settings.add_header_score,
        "reject_score": settings.reject_score,
        "antivirus": scanners.antivirus,
        "antivirus_action": settings.antivirus_action,
        "oletools": scanners.oletools,
        "antivirus_seconds": _SCANNER_SECONDS,
        "task_seconds": _TASK_SECONDS_WITH_SCANNERS if scanners.antivirus or scanners.oletools else _TASK_SECONDS,
        "message_bytes": settings.message_size_limit,
        "submission": settings.smtp_address or places.mail_queue / "public" / "inject",
        "dmarc_reports": settings.dmarc_send_reports,
        "postmaster": settings.postmaster_address,
        "domain": settings.domain,
        "hostname": settings.hostname,
        "sitename": settings.sitename.replace("\\", "").replace('"', ""),
    }


ROOM = Rspamd()
