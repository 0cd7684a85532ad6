"""The room of Unbound: a validating, recursive resolver of the root's own.

Block lists refuse public resolvers, and DANE needs validated answers; so mail servers resolve for themselves. Where
the network lets no DNS through, the deploy code notices (``deploy.resolver``) and the system's resolver is used with a
visible warning: nothing here has to start for mail to flow.
"""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

from mailu.daemons.room import CheckResult, ConfigFile, Folder, Reload, RenderRequest
from mailu.daemons.template import fill
from mailu.daemons.unbound.question import A, NoAnswer, ask

SERVER = "/usr/sbin/unbound"
CHECKER = "/usr/sbin/unbound-checkconf"
USER = "unbound"
DNS_PORT = 53

_MOST_THREADS = 2
_READY_SECONDS = 1.0
_CHECK_SECONDS = 30


class Unbound:
    """Unbound, on loopback unless RESOLVER_ADDRESS tells the other services to look for it on the network."""

    name = "resolver"
    overrides_folder: str | None = "unbound"
    reload: Reload = "HUP"

    def folders(self, request: RenderRequest) -> list[Folder]:
        """Nothing: it keeps no state."""
        return []

    def render(self, request: RenderRequest) -> dict[str, ConfigFile]:
        """``unbound.conf``, and the operator's ``*.conf`` files, which are included at its end."""
        settings, host = request.settings, request.host
        overrides = {f"overrides/{n}": ConfigFile(t) for n, t in request.overrides.items() if n.endswith(".conf")}
        text = fill(
            __name__,
            "unbound.conf",
            etc=request.etc,
            user=USER,
            listen=_listeners(request),
            port=_port(request),
            networks=[settings.subnet, settings.subnet6] if settings.resolver_address else [],
            ipv6=host.ipv6,
            threads=1 if settings.small_host else min(_MOST_THREADS, host.cpus),
            small=settings.small_host,
            verbosity={"DEBUG": 2, "INFO": 0}.get(settings.log_level, 0),
            overrides=sorted(overrides),
        )
        return {"unbound.conf": ConfigFile(text), **overrides}

    def check(self, request: RenderRequest) -> CheckResult:
        """unbound-checkconf; it also says when the trust anchor is missing."""
        done = subprocess.run(
            [CHECKER, str(request.etc / "unbound.conf")],
            capture_output=True,
            text=True,
            timeout=_CHECK_SECONDS,
            check=False,
        )
        words = tuple(_plain(line) for line in done.stderr.splitlines() if line.strip())
        if done.returncode:
            return CheckResult(problems=words or (f"unbound-checkconf ended with {done.returncode}",))
        return CheckResult(notes=words)

    def command(self, request: RenderRequest, etc: Path) -> list[str]:
        """Unbound in the foreground; it drops root's rights by itself, after it has bound its ports."""
        return [SERVER, "-d", "-p", "-c", str(etc / "unbound.conf")]

    def environment(self, request: RenderRequest) -> dict[str, str]:
        """Nothing beside the usual."""
        return {}

    def user(self) -> str | None:
        """Started as root."""
        return None

    def ready(self, request: RenderRequest) -> str | None:
        """Ask for a name that it answers out of itself, so that no other server matters."""
        port = _port(request)
        try:
            answer = ask("localhost.", A, "127.0.0.1", port, seconds=_READY_SECONDS)
        except NoAnswer as error:
            return f"Unbound does not answer on 127.0.0.1 port {port}: {error}"
        if answer.code or not answer.records:
            return f"Unbound answers with code {answer.code} and {answer.records} records for localhost"
        return None


def _port(request: RenderRequest) -> int:
    if request.settings.resolver_address:
        return DNS_PORT
    return request.host.unbound_port or request.host.resolver_port


def _listeners(request: RenderRequest) -> list[str]:
    if not request.settings.resolver_address:
        own = request.host.unbound_address
        return ["127.0.0.1", *([f"{own}@{DNS_PORT}"] if own else [])]
    return ["0.0.0.0", "::0"] if request.host.ipv6 and socket.has_ipv6 else ["0.0.0.0"]  # noqa: S104


def _plain(line: str) -> str:
    """A line of the checker without time, process number and level."""
    return re.sub(r"^\[\d+\] \S+\[\d+:\d+\] (?:error|fatal error|warning): ", "", line.strip())


ROOM = Unbound()
