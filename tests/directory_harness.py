"""What the tests of the directory process share: a small directory with the usual people, and what answers from it.

The people: *admin* administers everything, *manager* looks after example.org, *ann* is a user, *bob* a user whose
mailbox is nearly full, *off* was switched off, *moved* forwards all her mail, *mallory* is a stranger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from mailu.address import DomainName
from mailu.auth.attempt import Accepted, Decision, LoginAttempt, Reason, Refused, TryLater
from mailu.auth.buckets import LimitRules
from mailu.auth.counters import MemoryCounters
from mailu.auth.limits import Limits
from mailu.directory.mail_counts import Key
from mailu.directory.models import Alias, Alternative, Domain, Relay, User
from mailu.directory.snapshot import Snapshot, load_snapshot
from mailu.directory.store import Store, open_store
from mailu.identity.dkim import Selector
from mailu.places import Places
from mailu.servers.http import Answers, HttpHandlers
from mailu.servers.mailboxes import Mailboxes
from mailu.servers.maps import Maps
from mailu.servers.policy import Policy
from mailu.servers.sending import SendingLimits
from mailu.servers.signing import SigningKeys
from mailu.servers.usage import Usage
from mailu.settings.values import Rate

SECRET = "secret-of-this-root"
TODAY = date(2026, 3, 14)
SRS_KEYS = (b"new key", b"old key")
GB = 1_000_000_000
TWO_A_DAY = Rate(2, 86400)


def fill(store: Store) -> None:
    """Put the people and their addresses into an empty database."""
    with store.session() as session:
        org = Domain(
            name="example.org", relayhost="smtp.example.net:587", relayuser="our name", relaypassword="pass: word"
        )
        books = Domain(name="xn--bcher-kva.example", relayhost="mx:example.net:465")
        session.add_all([Domain(name="example.com"), org, books])
        session.flush()
        session.add(Alternative(name="example.net", domain_name="example.com"))
        session.add_all(
            [
                Relay(name="relayed.test", smtp="[192.0.2.25]:2525"),
                Relay(name="mx.test", smtp=None),
                Relay(name="broken.test", smtp="mx:[oops"),
            ]
        )
        session.add_all(
            [
                user("admin", global_admin=True),
                user("manager", domain="example.org"),
                user("ann", displayed_name="Ann Example"),
                user("bob", quota_bytes=1000, quota_bytes_used=900),
                user("off", enabled=False),
                user("moved", forward_enabled=True, forward_destination=("her@elsewhere.test",), forward_keep=False,
                     quota_bytes=10, quota_bytes_used=10),
                user("boss", allow_spoofing=True),
                user("chatty", message_ratelimit="1000/day"),
                user("strict", message_ratelimit="1/day"),
                user("odd", message_ratelimit="lots"),
            ]
        )  # fmt: skip
        session.flush()
        session.add_all(
            [
                alias("team", "ann@example.com", "bob@example.com"),
                alias("tobob", "bob@example.com"),
                alias("tooff", "off@example.com"),
                alias("shop-%", "ann@example.com", wildcard=True),
                alias("loop", "loop@example.com"),
            ]
        )


def user(localpart: str, *, domain: str = "example.com", **columns: object) -> User:
    """One mailbox with usual values."""
    email = f"{localpart}@{domain}"
    values: dict[str, object] = {"password": "-", "home": email, "quota_bytes": GB, **columns}
    return User(email=email, localpart=localpart, domain_name=domain, **values)


def alias(localpart: str, *destination: str, wildcard: bool = False) -> Alias:
    """One alias in example.com."""
    return Alias(
        email=f"{localpart}@example.com",
        localpart=localpart,
        domain_name="example.com",
        destination=destination,
        wildcard=wildcard,
    )


@cache
def snapshot() -> Snapshot:
    """The directory, loaded once."""
    with TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/main.db")
        store.upgrade()
        fill(store)
        loaded = load_snapshot(store, wildcard_senders=["admin@example.com"])
        store.close()
        return loaded


def maps(source: Callable[[], Snapshot] = snapshot) -> Maps:
    """Maps that answer from the directory."""
    return Maps(
        source,
        srs_keys=SRS_KEYS,
        srs_domain=DomainName("example.com"),
        tls_policy=tls_policy,
        today=lambda: TODAY,
    )


async def tls_policy(next_hop: str) -> str | None:
    """One destination with a level of its own, one about which nobody knows anything."""
    if next_hop == "fault.example":
        raise ZeroDivisionError("a fault")
    return {"broken.example": "may"}.get(next_hop)


def no_usage() -> Usage:
    """Usage that nobody writes down."""
    return Usage(lambda _email, _used_bytes: None)


def mailboxes(source: Callable[[], Snapshot] = snapshot) -> Mailboxes:
    """Where mail is stored, below ``/srv``."""
    used_bytes = no_usage().used_bytes
    return Mailboxes(source, used_bytes, Places(Path("/srv")), secret=SECRET, delimiters="+", message_bytes=50_000_000)


def sending(rate: Rate | None = TWO_A_DAY) -> SendingLimits:
    """Sending limits that begin at nothing; admin is exempt."""
    return SendingLimits(MemoryCounters(), rate, ["admin@example.com"])


def policy(source: Callable[[], Snapshot] = snapshot, rate: Rate | None = TWO_A_DAY) -> Policy:
    """A policy with counters of its own."""
    return Policy(source, no_usage(), sending(rate))


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait for something that other tasks or threads bring about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)


async def decide(attempt: LoginAttempt) -> Decision:
    """A judge with one right password and one password for each way to say no."""
    match attempt.password:
        case b"right":
            return Accepted(attempt.login.lower(), "password")
        case b"disabled":
            return Refused(Reason.ACCOUNT_DISABLED, "this account is switched off")
        case b"limited":
            return Refused(Reason.RATE_LIMITED, "too many attempts", 10)
        case b"later":
            return TryLater("not now")
    return Refused(Reason.BAD_CREDENTIALS, "wrong address or password")


def handlers(
    folder: Path,
    *,
    source: Callable[[], Snapshot] = snapshot,
    judge: Callable[..., object] = decide,
    usage: Usage | None = None,
    limits: Limits | None = None,
    mail_counted: Callable[[Mapping[Key, int]], None] = lambda _counts: None,
) -> HttpHandlers:
    """HTTP handlers with keys in *folder*."""
    return HttpHandlers(
        Answers(
            secret=SECRET,
            snapshot=source,
            decide=judge,  # type: ignore[arg-type]
            usage=usage or no_usage(),
            signing=SigningKeys(folder, (Selector("dkim", "ed25519"),)),
            metrics=lambda: b"# no numbers\n",
            limits=limits or Limits(LimitRules(Rate(5, 3600), Rate(50, 86400)), MemoryCounters()),
            mail_counted=mail_counted,
        )
    )
