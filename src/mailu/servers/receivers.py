"""What receiving domains publish about TLS, asked of DNS and of their web servers. Input and output only.

The libraries for it are loaded with the first question: many servers send everything through a smart host, or nothing.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from functools import cached_property
from typing import TYPE_CHECKING

from mailu.wire.mta_sts import MAX_POLICY_BYTES

if TYPE_CHECKING:
    import dns.asyncresolver
    import dns.resolver
    import httpx

log = logging.getLogger("mailu.servers.receivers")

DNS_SECONDS = 5.0
FETCH_SECONDS = 10.0
"""RFC 8461 s3.3 suggests a minute; the sending process waits meanwhile."""
MAX_FETCHES = 32
MAX_MX = 20
MAX_ADDRESSES = 4


class NotKnown(Exception):
    """It could not be found out: DNS or the web server does not answer, or answers nonsense."""


class Receivers:
    """Asks. *name_server* is an address and a port; None asks what /etc/resolv.conf names."""

    def __init__(self, name_server: tuple[str, int] | None = None) -> None:
        self._name_server = name_server
        self._fetches = asyncio.Semaphore(MAX_FETCHES)
        self.client: httpx.AsyncClient | None = None
        """Made at the first fetch."""

    @cached_property
    def _resolver(self) -> dns.asyncresolver.Resolver:
        import dns.asyncresolver
        import dns.flags

        resolver = dns.asyncresolver.Resolver(configure=self._name_server is None)
        if self._name_server is not None:
            resolver.nameservers, resolver.port = [self._name_server[0]], self._name_server[1]
        resolver.lifetime = DNS_SECONDS
        # Signatures are wanted, so that the resolver says in AD whether it has checked them (RFC 6840 s5.7).
        resolver.use_edns(0, dns.flags.DO, 1232)
        resolver.flags = dns.flags.RD | dns.flags.AD
        return resolver

    async def sts_texts(self, domain: str) -> list[str]:
        """The TXT records at ``_mta-sts.<domain>``, none included. Raises NotKnown."""
        answer = await self._ask(f"_mta-sts.{domain}", "TXT")
        if answer is None:
            return []
        return [b"".join(record.strings).decode("ascii", "replace") for record in answer]

    async def sts_policy(self, domain: str) -> bytes:
        """The policy file of *domain*. Raises NotKnown: also for a redirect, and for a certificate of another name.

        The host is looked up like everything else here: the system's resolver may be dead, or lie, where ours is not.
        """
        import httpx

        host = f"mta-sts.{domain}"
        last: object = "no address"
        for address in await self._addresses(host):
            try:
                async with asyncio.timeout(FETCH_SECONDS), self._fetches:
                    return await self._fetch(address, host)
            except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                last = error or type(error).__name__
        raise NotKnown(f"https://{host}: {last}")

    async def _addresses(self, host: str) -> list[str]:
        answers = [await self._ask(host, kind) for kind in ("A", "AAAA")]
        return [record.address for answer in answers if answer for record in answer][:MAX_ADDRESSES]

    async def _fetch(self, address: str, host: str) -> bytes:
        import httpx

        url = f"https://{f'[{address}]' if ':' in address else address}/.well-known/mta-sts.txt"

        if self.client is None:
            context = await asyncio.to_thread(ssl.create_default_context)
            self.client = httpx.AsyncClient(verify=context, follow_redirects=False, timeout=FETCH_SECONDS)
        # The certificate is verified for the name that is asked for by SNI, not for the address.
        headers, extensions = {"Host": host, "User-Agent": "Mailu"}, {"sni_hostname": host}
        async with self.client.stream("GET", url, headers=headers, extensions=extensions) as response:
            if response.status_code != 200:
                raise NotKnown(f"https://{host}: status {response.status_code}")
            if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "text/plain":
                raise NotKnown(f"https://{host}: not text/plain")
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_POLICY_BYTES:
                    raise NotKnown(f"https://{host}: longer than {MAX_POLICY_BYTES} bytes")
            return body

    async def has_dane(self, domain: str) -> bool:
        """Whether DNSSEC vouches for the MX of *domain* and for TLSA records of one of them (RFC 7672 s2.2).

        Raises NotKnown.
        """
        import dns.name

        answer = await self._ask(domain, "MX")
        if answer is None or not _is_secure(answer):
            return False
        hosts = [record.exchange for record in answer][:MAX_MX]
        for host in hosts:
            if host == dns.name.root:
                continue
            tlsa = await self._ask(f"_25._tcp.{host}", "TLSA")
            if tlsa is not None and _is_secure(tlsa):
                return True
        return False

    async def _ask(self, name: str, kind: str) -> dns.resolver.Answer | None:
        import dns.exception
        import dns.resolver

        try:
            return await self._resolver.resolve(name, kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None
        except (dns.exception.DNSException, OSError) as error:
            raise NotKnown(f"{name} {kind}: {error or type(error).__name__}") from None

    async def close(self) -> None:
        """Close what is open."""
        if self.client is not None:
            await self.client.aclose()


def _is_secure(answer: dns.resolver.Answer) -> bool:
    import dns.flags

    return bool(answer.response.flags & dns.flags.AD)
