# ruff: noqa: RUF009 - setting() returns a dataclass field
"""Where the services listen, and who stands in front of them."""

from __future__ import annotations

from dataclasses import dataclass

from mailu.settings import values
from mailu.settings.fields import setting
from mailu.settings.values import Network


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Listeners and proxies."""

    bind_address4: str = setting(
        values.bind_address(4),
        "0.0.0.0",  # noqa: S104 - a mail server is there to be reached
        "IPv4 address that the public services listen on; none for no IPv4.",
        default_note="all addresses",
    )
    bind_address6: str = setting(
        values.bind_address(6),
        "::",
        "IPv6 address that the public services listen on; none for no IPv6.",
        default_note="all addresses; none when BIND_ADDRESS4 names one",
    )
    ports: frozenset[int] = setting(
        values.ports,
        frozenset({25, 80, 443, 465, 993, 995, 4190}),
        "Ports to open. Add 587 (submission), 143 (IMAP) and 110 (POP3) for clients that start in plain text and "
        "switch to TLS; they need no further setting.",
    )
    tls: frozenset[int] = setting(
        values.tls_ports,
        values.TLS_PORTS,
        "Those of the TLS ports on which TLS ends here. Take one out when a load balancer ends TLS before it.",
    )
    proxy_protocol: frozenset[int] = setting(
        values.proxy_ports,
        frozenset(),
        "Ports that a load balancer speaks the PROXY protocol to; needs REAL_IP_FROM. mail means all mail ports, "
        "all-but-http also 443, all also 80.",
    )
    real_ip_from: tuple[Network, ...] = setting(
        values.networks, (), "Addresses of the proxies that are believed about the client's address."
    )
    real_ip_header: str | None = setting(
        values.optional(values.header_name),
        None,
        "HTTP header in which those proxies hand over the client's address.",
    )
    subnet: Network = setting(
        values.network,
        values.parse_network("192.168.203.0/24"),
        "IPv4 range of the container network. Nothing is trusted because its address is in there.",
    )
    subnet6: Network | None = setting(
        values.optional(values.network), None, "IPv6 range of the container network; IPv4 only when not given."
    )


@dataclass(frozen=True, kw_only=True)
class Services:
    """Services on other machines.

    Each is the host name or address, without a port, of a service that does not run on this machine. When none is
    given the services of one machine talk through sockets below ROOT/run.
    """

    admin_address: str | None = setting(values.service_address, None, "Host of the web administration.")
    directory_address: str | None = setting(
        values.service_address, None, "Host of the directory, which answers the other services' questions."
    )
    front_address: str | None = setting(values.service_address, None, "Host of the web server.")
    smtp_address: str | None = setting(values.service_address, None, "Host of the SMTP service.")
    imap_address: str | None = setting(values.service_address, None, "Host of the mailboxes.")
    redis_address: str | None = setting(values.service_address, None, "Host of Redis.")
    antispam_address: str | None = setting(values.service_address, None, "Host of the spam filter.")
    antivirus_address: str | None = setting(values.service_address, None, "Host of ClamAV.")
    oletools_address: str | None = setting(values.service_address, None, "Host of the macro scanner.")
    fts_attachments_address: str | None = setting(
        values.service_address, None, "Host of Apache Tika, which reads attachments for the search index."
    )
    webmail_address: str | None = setting(values.service_address, None, "Host of the webmail.")
    webdav_address: str | None = setting(values.service_address, None, "Host of calendars and contacts.")
    resolver_address: str | None = setting(values.service_address, None, "Host of the DNS resolver.")
    resolver: str = setting(
        values.words("auto", "unbound", "system"),
        "auto",
        "Who resolves names: our own validating resolver (unbound), what /etc/resolv.conf names (system), or our own "
        "unless that one validates too (auto). Without validation DANE is off, and a warning says so.",
    )
