"""Whether a domain's mail comes here: what its MX records say."""

from __future__ import annotations

from collections.abc import Collection

import dns.exception
import dns.name
import dns.resolver

from mailu.address import DomainName
from mailu.identity.dns_answers import DnsUnknown

_SECONDS = 5.0


def leads_here(domain: DomainName, hosts: Collection[str], name_server: tuple[str, int] | None) -> bool:
    """Whether one of the MX records of *domain* names one of *hosts*. Raises DnsUnknown.

    Only the resolver is asked (*name_server*; None: the system's), never the servers that a stranger's zone names.
    """
    resolver = dns.resolver.Resolver(configure=name_server is None)
    if name_server is not None:
        resolver.nameservers, resolver.port = [name_server[0]], name_server[1]
    resolver.lifetime = _SECONDS
    try:
        found = resolver.resolve(dns.name.from_text(domain), "MX")
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return False
    except (dns.exception.DNSException, OSError) as error:
        raise DnsUnknown(str(error)) from error
    names = {str(record.exchange).rstrip(".").lower() for record in found}
    return not names.isdisjoint(hosts)
