"""What the name servers of a domain say beside what they should: for the pages and the API."""

from __future__ import annotations

from mailu.control import ControlPlane
from mailu.identity.dns_check import Comparison, check_domain
from mailu.identity.egress import look_for_unnamed, public_addresses


def compared(control: ControlPlane, domain: str, *, alternative_of: str | None = None) -> list[Comparison]:
    """Ask now, which takes seconds. *alternative_of*: the domain that *domain* is another name of."""
    from mailu.identity.authoritative import Dns, own_resolver  # here: a DNS library that little else needs

    settings = control.settings
    dns = Dns(own_resolver(control.places))
    look_for_unnamed(settings, control.places, dns.look)
    leaving = () if settings.relayhost else public_addresses(settings)
    return check_domain(control.domain_facts(domain, alternative_of=alternative_of), dns.look, egress=leaving)
