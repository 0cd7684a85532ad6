"""Postfix: mail from and to other servers, and from our users. Starts, checks and reloads one instance a state root."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from mailu.daemons.postfix import banner, checker, parameters, services, values
from mailu.daemons.postfix.ending import end_after_deliveries
from mailu.daemons.postfix.listeners import addresses, endpoint, listeners
from mailu.daemons.room import CheckResult, ConfigFile, Folder, OverrideError, Reload, RenderRequest
from mailu.daemons.template import fill
from mailu.daemons.webmail_doors import ANY, ANY_IPV4, doors

PACKAGE = "mailu.daemons.postfix"
MASTER = "/usr/lib/postfix/sbin/master"
PARAMETERS_FILE, SERVICES_FILE = "postfix.cf", "postfix.master"
TRANSPORTS_FILE, TLS_POLICIES_FILE = "transport.map", "tls_policy.map"
_TABLE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.map")


class PostfixRoom:
    """The room of the service ``smtp``."""

    name: Final = "smtp"
    overrides_folder: Final = "postfix"
    reload: Final[Reload] = "HUP"

    def folders(self, request: RenderRequest) -> list[Folder]:
        """The queue and the daemon's own state. What is below the queue is made by ``postfix check``."""
        return [
            Folder(request.places.mail_queue),
            Folder(request.places.service(self.name)),
            Folder(data_directory(request), "postfix", "postfix", 0o700),
            Folder(verified_recipients(request).parent, "postfix", "postfix", 0o700),
        ]

    def render(self, request: RenderRequest) -> dict[str, ConfigFile]:
        """The configuration, tables included; the operator's tables are compiled by the check."""
        tables = own_tables(request)
        files = {
            "main.cf": ConfigFile(_main_cf(request, tables)),
            "master.cf": ConfigFile(_master_cf(request)),
            "reject_footers": ConfigFile(_reject_footers(request)),
            "certificate_reasons": ConfigFile(fill(PACKAGE, "templates/certificate_reasons")),
            "submission_headers": ConfigFile(_submission_headers(request)),
            "submission_mime_headers": ConfigFile(fill(PACKAGE, "templates/submission_mime_headers")),
            "srs_addresses": ConfigFile(fill(PACKAGE, "templates/srs_addresses")),
            "srs_senders": ConfigFile(_srs_senders(request)),
        }
        files |= {name: ConfigFile(_ends_with_line_end(text)) for name, text in tables.items()}
        return files | _lists(request)

    def check(self, request: RenderRequest) -> CheckResult:
        """Compile the operator's tables and let Postfix's own tools read everything."""
        return checker.check(request, own_tables(request))

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        """``master`` itself (``postfix start-fg`` leaves orphans), behind the gate where a proxy speaks to us."""
        master = [MASTER, "-c", str(etc), "-s"]
        return [*_gate(request), *master]

    def environment(self, request: RenderRequest) -> dict[str, str]:
        """Nothing; Postfix takes what it needs from main.cf."""
        return {}

    def user(self) -> str | None:
        """None: ``master`` runs as root, and gives its services other users."""
        return None

    def ready(self, request: RenderRequest) -> str | None:
        """Every listener greets."""
        return banner.ask(request)

    def end(self, request: RenderRequest, daemon: int) -> None:
        """Let deliveries that were begun come to their end, and end."""
        end_after_deliveries(daemon, request.places.mail_queue)


def _gate(request: RenderRequest) -> list[str]:
    """The gate's part of the command; nothing where no proxy speaks to us.

    All it needs is in the arguments, so that the agent restarts it when any of it changes.
    """
    settings = request.settings
    ports = [listener.port for listener in listeners(settings, ipv6=request.host.ipv6) if listener.gated]
    if not ports:
        return []
    words = [sys.executable, str(Path(__file__).with_name("gate.py")), "--queue", str(request.places.mail_queue)]
    for network in settings.real_ip_from:
        words += ["--from", str(network)]
    for port in ports:
        for address in addresses(settings, ipv6=request.host.ipv6):
            words += ["--listen", address, str(port)]
    return [*words, "--"]


def data_directory(request: RenderRequest) -> Path:
    """Locks, random numbers, remembered TLS sessions: can be deleted while nothing runs."""
    return request.places.service("smtp") / "data"


def verified_recipients(request: RenderRequest) -> Path:
    """What other servers said of recipients in relayed domains. It outlives ``run/``: while a server is away, mail for
    those whom it knew is taken. verify(8) wants a folder of Postfix's own user."""
    return request.places.mail_queue / "cache" / "verified_recipients"


def own_tables(request: RenderRequest) -> dict[str, str]:
    """The operator's ``*.map`` files. Raises OverrideError for a name that is ours or cannot be a table's."""
    tables = {name: text for name, text in request.overrides.items() if name.endswith(".map")}
    for name in tables:
        if not _TABLE_NAME.fullmatch(name):
            raise OverrideError(f"overrides/postfix/{name}: a table stands in the folder itself, as NAME.map")
    return tables


def _main_cf(request: RenderRequest, tables: dict[str, str]) -> str:
    settings, places, host = request.settings, request.places, request.host
    certificates = values.certificates(request)
    bound = addresses(settings, ipv6=host.ipv6)
    text = fill(
        PACKAGE,
        "templates/main.cf",
        queue_directory=str(places.mail_queue),
        data_directory=str(data_directory(request)),
        verified_recipients=str(verified_recipients(request)),
        hostname=settings.hostname,
        domain=settings.domain,
        banner=values.escape(settings.smtp_banner),
        small_host=settings.small_host,
        resolves=host.resolves,
        ipv6=host.ipv6,
        outbound_inet_protocols=values.outbound_inet_protocols(bound, ipv6=host.ipv6),
        inet_interfaces=values.inet_interfaces(bound),
        bind_address=values.source_address(bound, 4),
        bind_address6=values.source_address(bound, 6),
        socketmap=str(places.socketmap),
        policy=str(places.policy),
        sasl=str(places.sasl),
        lmtp=str(places.lmtp),
        milter=str(places.milter),
        own_transports=TRANSPORTS_FILE in tables,
        slow_destinations=settings.slow_destinations,
        own_tls_policies=TLS_POLICIES_FILE in tables,
        relaynets=[values.postfix_network(network) for network in settings.relaynets],
        message_size_limit=settings.message_size_limit,
        submission_needs_tls=settings.has_tls,
        reject_unlisted_recipient=settings.reject_unlisted_recipient,
        certificate=certificates[0] if certificates else None,
        certificates_by_name=certificates[1:],
        tls_inbound=values.inbound_tls(settings),
        tls_submission=values.server_tls(settings.tls_profile_of("submission")),
        outbound_tls=values.outbound_tls(settings, resolver_validates=host.resolver_validates),
        defer_on_tls_error=settings.defer_on_tls_error,
        relay=_relay(request),
        queue_lifetime_seconds=settings.queue_lifetime,
        bounce_lifetime_seconds=min(settings.queue_lifetime, values.BOUNCE_LIFETIME_SECONDS),
        delay_notice_seconds=settings.delay_notice,
        postmaster=values.escape(str(settings.postmaster_address)),
    )
    return parameters.apply(text, parameters.parse(request.overrides.get(PARAMETERS_FILE, ""), tables))


def _master_cf(request: RenderRequest) -> str:
    found = listeners(request.settings, ipv6=request.host.ipv6)
    level = values.outbound_tls(request.settings, resolver_validates=request.host.resolver_validates).level
    text = fill(
        PACKAGE,
        "templates/master.cf",
        listeners=found,
        webmail=_webmail_endpoint(request),
        tls=request.settings.has_tls,
        relay=_relay(request),
        level_with_log_in=values.smart_host_level(level, log_in=True),
        level_without=values.smart_host_level(level, log_in=False),
    )
    by_port: dict[int, list[services.Key]] = {}
    for listener in found:
        by_port.setdefault(listener.port, []).append((listener.service, listener.type))
    return services.apply(text, request.overrides.get(SERVICES_FILE, ""), by_port)


def _webmail_endpoint(request: RenderRequest) -> str:
    """Address and port of the listener that only the webmail uses; empty for none."""
    found = doors(request.settings, request.host)
    if found is None:
        return ""
    return endpoint(found.smtp.address.replace(ANY, ANY_IPV4), found.smtp.port)


def _reject_footers(request: RenderRequest) -> str:
    remedy = values.remedy(request.settings)
    return fill(PACKAGE, "templates/reject_footers", has_submission=bool(remedy), remedy=remedy)


def _submission_headers(request: RenderRequest) -> str:
    pattern = request.settings.hostname.replace(".", r"\.")
    return fill(PACKAGE, "templates/submission_headers", hostname_pattern=pattern)


def _srs_senders(request: RenderRequest) -> str:
    return fill(PACKAGE, "templates/srs_senders", domain_pattern=request.settings.domain.replace(".", r"\."))


def _lists(request: RenderRequest) -> dict[str, ConfigFile]:
    """Tables made of settings, in the form of texthash tables: read whole at start, nothing to compile."""
    settings = request.settings
    smart_host = _relay(request)
    files = {}
    if settings.slow_destinations:
        rows = [f"{row.domain} {values.slow_route(row.treatment, smart_host)}" for row in settings.slow_destinations]
        files["slow_destinations"] = ConfigFile(_table("SLOW_DESTINATIONS; see transport(5).", rows))
    if len(named := values.certificates(request)) > 1:
        rows = [f"{one.name} {one.files}" for one in named]
        files["certificates"] = ConfigFile(
            _table("Name to key and chain; read before rights are dropped.", rows), 0o600
        )
    if smart_host is not None and smart_host.log_in:
        files["relay_password"] = ConfigFile(_table("Log-in at the smart host.", [_credentials(request)]), 0o600)
    if smart_host is not None and smart_host.tls_policy:
        row = f"{smart_host.next_hop} {smart_host.tls_policy}"
        files["relay_tls"] = ConfigFile(_table("The smart host gets a password, and has to prove who it is.", [row]))
    return files


def _relay(request: RenderRequest) -> values.Relay | None:
    return values.relay(request.settings, resolver_validates=request.host.resolver_validates)


def _credentials(request: RenderRequest) -> str:
    settings = request.settings
    return f"{settings.relayhost} {settings.relayuser}:{settings.relaypassword or ''}"


def _table(comment: str, rows: list[str]) -> str:
    return fill(PACKAGE, "templates/table", comment=comment, rows=rows)


def _ends_with_line_end(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"
