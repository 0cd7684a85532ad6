"""What the limits count: the buckets, their keys, and how long a mark counts in each.

Keys begin as they always have, so that people who look into Redis find them: ``LIMITER/auth-ip/<network>/``,
``LIMITER/auth-user/<account>/`` and ``exempt-<address>``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mailu.auth.clients import Client, Network
from mailu.auth.counters import Bucket
from mailu.settings.values import Rate

NETWORKS = "LIMITER/auth-ip/"
ACCOUNTS = "LIMITER/auth-user/"
ONE_NETWORKS_SHARE = 5
"""One network may use up this part (a fifth) of an account's allowance."""

Kind = Literal["network", "account", "account from network", "account from address", "account on device"]
"""Whom a limit slows down. ``account`` means all strangers at an account together."""


@dataclass(frozen=True, slots=True)
class LimitRules:
    """The settings that say how much is too much. A rate of None: no limit of that kind."""

    per_network: Rate | None
    """Different accounts that a network may fail at."""
    per_account: Rate | None
    """Different wrong passwords for an account."""
    v4_mask: int = 24
    v6_mask: int = 48
    exempt: tuple[Network, ...] = ()
    known_seconds: int = 86400
    """How long an address stays known for an account after a log-in; 0: never known."""

    @property
    def share_of_one_network(self) -> int:
        """Different wrong passwords for an account that one network may try without delay."""
        return max(1, self.per_account.count // ONE_NETWORKS_SHARE) if self.per_account else 0


@dataclass(frozen=True, slots=True)
class Named:
    """What the key of a bucket says."""

    kind: Kind
    account: str | None
    origin: str | None
    """First address of a network, an address, or a device's nonce."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Names buckets under *rules*."""

    rules: LimitRules

    def own(self, account: str, client: Client, device: str | None) -> Bucket:
        """Wrong passwords for *account* from a known device, or else from a known source."""
        return self._of_account(account, f"device-{device}" if device else f"from-{client.source}")

    def pair(self, account: str, client: Client) -> Bucket:
        """Wrong passwords for *account* from one network of strangers."""
        return self._of_account(account, f"net-{client.network}")

    def account(self, account: str) -> Bucket:
        """Wrong passwords for *account* from all strangers."""
        return self._of_account(account, "strangers")

    def strikes(self, client: Client) -> Bucket:
        """Accounts that a network failed at, and other strikes."""
        return self._of_network(client.network, "strikes")

    def guesses(self, client: Client) -> Bucket:
        """Wrong passwords for existing accounts from a network since it is noisy."""
        return self._of_network(client.network, "guesses")

    def known(self, client: Client) -> Bucket:
        """Accounts that a source logged in to."""
        return Bucket(f"exempt-{client.source}", self.rules.known_seconds)

    def newcomers(self, client: Client) -> Bucket:
        """Accounts that logged in from a network and were not known there."""
        return self._of_network(client.network, "newcomers")

    def named(self, key: str) -> tuple[Named, Bucket] | None:
        """Return what *key* says, and its bucket; None for a key that is none of the limits'."""
        if key.startswith(NETWORKS):
            network, _, what = key.removeprefix(NETWORKS).rpartition("/")
            if what in {"strikes", "guesses"}:
                return Named("network", None, network), self._of_network(network, what)
        if key.startswith(ACCOUNTS):
            account, _, whose = key.removeprefix(ACCOUNTS).rpartition("/")
            how, _, origin = whose.partition("-")
            if account and (kind := _KINDS.get(how)):
                return Named(kind, account, origin or None), self._of_account(account, whose)
        return None

    def _of_account(self, account: str, whose: str) -> Bucket:
        rate = self.rules.per_account or self.rules.per_network
        return Bucket(f"{ACCOUNTS}{account}/{whose}", rate.seconds if rate else 1)

    def _of_network(self, network: str, what: str) -> Bucket:
        return Bucket(f"{NETWORKS}{network}/{what}", self.rules.per_network.seconds if self.rules.per_network else 1)


_KINDS: dict[str, Kind] = {
    "strangers": "account",
    "net": "account from network",
    "from": "account from address",
    "device": "account on device",
}
