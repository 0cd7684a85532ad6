"""Which ports Dovecot listens on, on which addresses, and how each of them treats TLS and proxies."""

from __future__ import annotations

from dataclasses import dataclass

from mailu.settings import Settings

_PORTS: dict[str, tuple[tuple[str, int], ...]] = {
    "imap-login": (("imap", 143), ("imaps", 993)),
    "pop3-login": (("pop3", 110), ("pop3s", 995)),
    "managesieve-login": (("sieve", 4190),),
}
MAX_LOGIN_PROCESSES = 8
MAX_CONNECTIONS = 8000
"""IMAP connections of one machine. The auth process needs a file descriptor for each, and a machine may not allow more
than 20,000 of them."""
STARTTLS_PORTS = frozenset({143, 110, 4190})


@dataclass(frozen=True, slots=True)
class Listener:
    """One inet_listener. Port 0 closes one that Dovecot would open by itself."""

    name: str
    port: int
    implicit_tls: bool
    proxied: bool


@dataclass(frozen=True, slots=True)
class Login:
    """One log-in service and its listeners, with how many processes and connections it may have."""

    service: str
    listeners: tuple[Listener, ...]
    spare_processes: int
    processes: int
    clients: int

    @property
    def open_listeners(self) -> tuple[Listener, ...]:
        """Those that really listen."""
        return tuple(listener for listener in self.listeners if listener.port)


def addresses(settings: Settings, *, ipv6: bool) -> tuple[str, ...]:
    """The addresses to listen on; *ipv6* says whether the machine has any such address."""
    return tuple(address for address in settings.bind_addresses if ipv6 or ":" not in address)


def logins(settings: Settings, *, processors: int) -> list[Login]:
    """The log-in services. One without an open port keeps no process ready."""
    return [_login(settings, service, processors) for service in _PORTS]


def _login(settings: Settings, service: str, processors: int) -> Login:
    listeners = tuple(_listener(settings, name, port) for name, port in _PORTS[service])
    is_open = any(listener.port for listener in listeners)
    if service != "imap-login":
        # POP3 and ManageSieve are used now and then: the first connection starts their process.
        return Login(service, listeners, 0, 2, 500)
    if settings.small_host:
        return Login(service, listeners, int(is_open), 2, 1000)
    processes = min(max(2, processors), MAX_LOGIN_PROCESSES)
    return Login(service, listeners, processes if is_open else 0, processes, MAX_CONNECTIONS // processes)


def _listener(settings: Settings, name: str, port: int) -> Listener:
    is_open = port in settings.listening_ports and bool(settings.bind_addresses)
    return Listener(
        name=name,
        port=port if is_open else 0,
        implicit_tls=port in settings.tls_listening_ports,
        proxied=port in settings.proxy_protocol,
    )


def cleartext_allowed(settings: Settings) -> bool:
    """Whether Dovecot has to take passwords without TLS of its own, because TLS ends before it on some port.

    Dovecot 2.3 knows that by service only, not by port; what arrives on the ports with STARTTLS is refused in
    ``directory.lua``.
    """
    return settings.has_tls and bool(settings.listening_ports & frozenset({993, 995}) - settings.tls_listening_ports)
