"""What Postfix' tables are told: one method a map, from a key to a value, None for "there is no such entry".

A method may raise: what cannot be said now becomes TEMP, in one place, and never "no such user". Keys that are no
text, or no address where an address is asked for, name nothing. Postfix tries parts of an address one after another
(the whole, without its extension, ``@domain``); only whole addresses are answered, since a look-up knows delimiters.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime

from mailu.address import AddressError, DomainName, address_or_none, parse_domain
from mailu.directory import lookup, senders, srs
from mailu.directory.relay_target import parse_relay_target
from mailu.directory.snapshot import SmartHost, Snapshot
from mailu.servers.conversations import Reply, in_turn
from mailu.servers.faults import Faults
from mailu.servers.keeper import NotReady
from mailu.wire import BadRequest
from mailu.wire.netstring import NetstringDecoder
from mailu.wire.socketmap import NOT_FOUND, found, parse_request, permanent_failure, temporary_failure

log = logging.getLogger("mailu.servers.maps")

Map = Callable[[str], str | None]

SUBMISSIONS_PORT = 465
"""Where TLS comes before the first word (RFC 8314 s3.3)."""
SLOW_MAP = "tls-policy"
"""The map that asks DNS and web servers elsewhere: for ``smtp_tls_policy_maps``."""
_SLOW_MAP = SLOW_MAP.encode()


class Maps:
    """Every map, answered from the newest snapshot."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        *,
        srs_keys: tuple[bytes, ...],
        srs_domain: DomainName,
        tls_policy: Callable[[str], Awaitable[str | None]],
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        """*srs_keys*: the first signs, all verify. *tls_policy* is the one map whose answer may take time."""
        self._snapshot = snapshot
        self._srs_keys = srs_keys
        self._srs_domain = srs_domain
        self._tls_policy = tls_policy
        self._today = today
        self.faults = Faults(log)
        self._bad_targets: dict[str, str] = {}
        self._maps: dict[bytes, tuple[str, Map]] = {
            name.encode(): (name, method)
            for name, method in {
                "domain": self.domain,
                "mailbox": self.mailbox,
                "alias": self.alias,
                "transport": self.transport,
                "relay": self.relay,
                "relay-recipient": self.relay_recipient,
                "sender-login": self.sender_login,
                "sender-transport": self.sender_transport,
                "smart-host-login": self.smart_host_login,
                "srs-sender": self.srs_sender,
                "srs-recipient": self.srs_recipient,
            }.items()
        }
        self.asked = dict.fromkeys([*(name for name, _method in self._maps.values()), SLOW_MAP], 0)
        """How often each map was asked, for the metrics."""

    def answer(self, payload: bytes) -> Reply:
        """Answer one request, whatever it is; those of SLOW_MAP later. Raises BadRequest for what is none."""
        map_name, key = parse_request(payload)
        known = self._maps.get(map_name)
        if known is None:
            if map_name == _SLOW_MAP:
                return self._answer_slowly(key)
            return permanent_failure("there is no such map")
        name, method = known
        self.asked[name] += 1
        try:
            value = method(key.decode())
        except Exception as error:
            return self._failure(name, key, error)
        return NOT_FOUND if value is None else found(value)

    async def _answer_slowly(self, key: bytes) -> bytes:
        self.asked[SLOW_MAP] += 1
        try:
            value = await self._tls_policy(key.decode())
        except Exception as error:
            return self._failure(SLOW_MAP, key, error)
        return NOT_FOUND if value is None else found(value)

    def _failure(self, name: str, key: bytes, error: Exception) -> bytes:
        """The reply where a map raised; "I do not know" is TEMP, but a key that is no text names nothing."""
        match error:
            case UnicodeDecodeError():
                return NOT_FOUND
            case NotReady():
                return temporary_failure(str(error))
            case lookup.BadRelayTarget():
                self._tell_bad_target(key.decode(), str(error))
                return temporary_failure(f"the relay target of this domain cannot be used: {error}")
        self.faults.report(f"answering the map {name}", error)
        return temporary_failure("internal fault, see the log of the directory")

    def _tell_bad_target(self, domain: str, why: str) -> None:
        """Log what the operator has to correct, once for each text."""
        if self._bad_targets.get(domain) != why and len(self._bad_targets) < 1_000:
            self._bad_targets[domain] = why
            log.error("mail for %s waits: its relay target cannot be used: %s", domain, why)

    def domain(self, key: str) -> str | None:
        """Domains whose mail is kept here, alternatives too: for ``virtual_mailbox_domains``."""
        domain = _domain(key)
        return key if domain is not None and lookup.is_local_domain(self._snapshot(), domain) else None

    def mailbox(self, key: str) -> str | None:
        """Mailboxes that take mail, with or without detail: for ``virtual_mailbox_maps``.

        The value is the folder of the mailbox below ``mail/``. A disabled one is not found; the policy, asked before
        Postfix looks here, has given a better reason.
        """
        address = address_or_none(key)
        entry = None if address is None else lookup.mailbox(self._snapshot(), address)
        return entry.home if entry is not None and entry.enabled else None

    def alias(self, key: str) -> str | None:
        """Where mail for an address ends: for ``virtual_alias_maps``."""
        address = address_or_none(key)
        targets = None if address is None else lookup.alias_targets(self._snapshot(), address)
        return ",".join(targets) if targets else None

    def transport(self, key: str) -> str | None:
        """How relayed domains are reached: for ``transport_maps``. What is kept here is not found: it goes by
        ``virtual_transport``. Raises BadRelayTarget, so that mail waits until the target is corrected.

        Postfix asks a socketmap for whole addresses only: trivial-rewrite(8) does not go on to the domain, as it does
        with other tables.
        """
        domain = _domain(key.rpartition("@")[2])
        snapshot = self._snapshot()
        # Without a target Postfix' own ways hold: the smart host where there is one, else the domain's MX.
        relay = None if domain is None else snapshot.relays.get(domain)
        return lookup.transport(snapshot, domain) if domain is not None and relay is not None and relay.smtp else None

    def relay(self, key: str) -> str | None:
        """Relayed domains: for ``relay_domains``."""
        domain = _domain(key)
        return key if domain is not None and lookup.is_relay_domain(self._snapshot(), domain) else None

    def relay_recipient(self, key: str) -> str | None:
        """Recipients in relayed domains who may be taken mail for: for ``relay_recipient_maps``. Where the target
        server knows better, the policy has it asked.
        """
        address = address_or_none(key)
        return key if address is not None and lookup.may_be_relay_recipient(self._snapshot(), address) else None

    def sender_login(self, key: str) -> str | None:
        """The log-ins that may send as an address: for ``smtpd_sender_login_maps``."""
        snapshot = self._snapshot()
        if key in ("", "<>"):
            return ",".join(senders.sender_logins(snapshot, None)) or None
        address = address_or_none(key)
        return None if address is None else ",".join(senders.sender_logins(snapshot, address)) or None

    def sender_transport(self, key: str) -> str | None:
        """Way and next hop of the smart host for a sender: for ``sender_dependent_default_transport_maps``. The ways
        are services of master.cf: some log in, those called ``open`` do not.
        """
        host = self._smart_host(key)
        if host is None:
            return None
        target = parse_relay_target(host.host)
        way = "smart-host" if host.user is not None else "smart-host-open"
        return f"{way}{'-tls' if target.port == SUBMISSIONS_PORT else ''}:{target.next_hop('')}"

    def smart_host_login(self, key: str) -> str | None:
        """User name and password of a sender's domain at its smart host: for ``smtp_sasl_password_maps`` of the
        services that only *sender_transport* leads to.
        """
        host = self._smart_host(key)
        return None if host is None or host.user is None else f"{host.user}:{host.password or ''}"

    def _smart_host(self, sender: str) -> SmartHost | None:
        """By the domain alone: the localpart of a rewritten sender can be longer than an address has it."""
        _, at, name = sender.rpartition("@")
        domain = _domain(name) if at else None
        return None if domain is None else lookup.smart_host(self._snapshot(), domain)

    def srs_sender(self, key: str) -> str | None:
        """The rewritten form of a sender of a domain that is not kept here: for the client side of forwarding."""
        localpart, at, name = key.rpartition("@")
        domain = _domain(name) if at else None
        if domain is None or lookup.is_local_domain(self._snapshot(), domain):
            return None
        return srs.forward(key, self._srs_keys[0], self._srs_domain, self._today()) if localpart else None

    def srs_recipient(self, key: str) -> str | None:
        """The address that a bounce to a rewritten sender is for: for ``recipient_canonical_maps``.

        One that is forged or too old is not found, and so an unknown recipient.
        """
        if not srs.is_srs(key) or not self._is_ours(key.rpartition("@")[2]):
            return None
        return srs.reverse(key, self._srs_keys, self._today())

    def _is_ours(self, name: str) -> bool:
        domain = _domain(name)
        return domain is not None and (domain == self._srs_domain or lookup.is_local_domain(self._snapshot(), domain))


class MapConversation:
    """One connection of a Postfix process."""

    __slots__ = ("_answer", "_decoder")

    def __init__(self, maps: Maps) -> None:
        self._decoder = NetstringDecoder()
        self._answer = maps.answer

    def received(self, data: bytes) -> Reply:
        """Answer each request that *data* completes. Raises HangUp."""
        replies: list[Reply] = []
        try:
            for payload in self._decoder.feed(data):
                replies.append(self._answer(payload))
        except BadRequest as error:
            return in_turn(replies, error)
        return in_turn(replies)


def _domain(key: str) -> DomainName | None:
    if "@" in key:
        return None
    try:
        return parse_domain(key)
    except AddressError:
        return None
