"""What the web pages and the REST API work with, put together once by the process that serves both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mailu.address import DomainName
from mailu.auth.limits import Limits
from mailu.auth.login import Judge
from mailu.auth.sessions import Sessions
from mailu.directory.snapshot import Snapshot
from mailu.directory.store import Store
from mailu.identity.dkim import DkimKeyError
from mailu.identity.dns_records import ISRG_ROOTS_TLSA, DomainFacts
from mailu.identity.egress import unnamed
from mailu.identity.issuing.certbot import KEY_TYPES, issuer_of, lineage
from mailu.identity.issuing.state import load_state, state_file
from mailu.identity.mta_sts import Mode
from mailu.identity.rotation import published
from mailu.places import Places
from mailu.settings import Settings


@dataclass(frozen=True)
class ControlPlane:
    """The parts that a request may use. Shared by all requests; every part may be used from several threads, save
    *judge*, *limits* and *sessions*, which belong to the event loop."""

    settings: Settings
    places: Places
    store: Store
    snapshot: Callable[[], Snapshot]
    judge: Judge
    limits: Limits
    sessions: Sessions

    def domain_facts(self, domain: str, *, alternative_of: str | None = None) -> DomainFacts:
        """What the DNS records of *domain* are made from; *alternative_of* names the domain it stands for, if any."""
        known = self.snapshot()
        return domain_facts(self.settings, self.places, domain, alternative_of=alternative_of, known=known)


def mta_sts_mode(snapshot: Snapshot, domain: str) -> Mode | None:
    """The policy that *domain* publishes about encryption; None for none, and for no domain of ours."""
    entry = snapshot.domains.get(domain)
    modes: dict[str, Mode] = {"testing": "testing", "enforce": "enforce", "none": "none"}
    return None if entry is None else modes.get(entry.mta_sts)


def domain_facts(
    settings: Settings,
    places: Places,
    domain: str,
    *,
    alternative_of: str | None = None,
    known: Snapshot | None = None,
) -> DomainFacts:
    """What the DNS records of *domain* are made from; *alternative_of* names the domain it stands for, if any, and
    *known* has its MTA-STS policy and its smart host.
    """
    owner = alternative_of or domain
    return DomainFacts(
        domain=DomainName(domain),
        main_host=settings.hostnames[0],
        report_domain=settings.domain,
        hosts=tuple(settings.hostnames),
        dkim=_dkim(places, DomainName(alternative_of or domain)),
        dmarc_rua=settings.dmarc_rua,
        dmarc_ruf=settings.dmarc_ruf,
        tls=settings.tls_flavor != "notls",
        ports=settings.ports,
        alternative=alternative_of is not None,
        tlsa=_pins(settings, places),
        mta_sts_mode=None if known is None else mta_sts_mode(known, owner),
        sent_by_others=known is not None and owner in known.smart_hosts,
        tls_report=(settings.dmarc_rua or settings.postmaster) if settings.has_tls else None,
        issuer=issuer_of(settings.acme_server) if settings.tls_flavor == "letsencrypt" else None,
        egress=unnamed(places),
    )


def _pins(settings: Settings, places: Places) -> tuple[str, ...]:
    """What TLSA records are to pin: the keys in force, and the roots of Let's Encrypt, which stand in many zones."""
    if settings.tls_flavor == "letsencrypt":
        state = load_state(state_file(places.certs))
        pins = [pin for kind in KEY_TYPES for pin in state.of(lineage(settings.hostname, kind)).pins]
        keys = tuple(dict.fromkeys(pin for pin in pins if pin.startswith("3 ")))
        rooted = any(pin.startswith("2 ") for pin in pins)
        return (*keys, *(ISRG_ROOTS_TLSA if rooted or not pins else ()))
    if settings.tls_flavor == "cert":
        from mailu.identity.certificates import key_pin, read_chain  # here: reading certificates needs a large library
        from mailu.identity.placed import chain_for, chains_in_force, placed_pairs

        placed = placed_pairs(places.certs, settings.tls_cert_filename, settings.tls_keypair_filename)
        chains = chains_in_force(places.certs, placed)
        chain = chain_for(chains, settings.hostname)
        return (key_pin(read_chain(chain)[0]),) if chain is not None else ()
    return ()


def _dkim(places: Places, domain: DomainName) -> tuple[tuple[str, str], ...]:
    try:
        return tuple((key.selector, key.record) for key in published(places.dkim, domain))
    except DkimKeyError:
        return ()
