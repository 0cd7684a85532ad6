"""The clerk: has the certificate of each name issued and renewed by certbot, one name after another.

A name that fails keeps what it has and waits by itself; the others go on. What happened is written to the state's file
after every attempt.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mailu.identity.certificates import CertificateError, covers, find_root, inspect_pair, key_pin, read_chain, root_pin
from mailu.identity.issuing import certbot
from mailu.identity.issuing.certbot import KeyType, Office, lineage
from mailu.identity.issuing.plan import Failure, failed, is_due, succeeded
from mailu.identity.issuing.preflight import Obstacle
from mailu.identity.issuing.state import (
    IssuingState,
    NameState,
    chain_with_root,
    load_state,
    request_folder,
    save_state,
    state_file,
)

log = logging.getLogger("mailu.servers.certificates")

CERTBOT_SECONDS = 300
SYSTEM_ROOTS = Path("/etc/ssl/certs/ca-certificates.crt")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A name that is to have a certificate, and of which kinds; ECDSA is always the first."""

    name: str
    key_types: tuple[KeyType, ...] = ("ecdsa",)


Run = Callable[[Sequence[str]], tuple[int, str]]
"""Runs a command; returns its exit code and all it said."""


class Clerk:
    """Works on the folder *certs*. Only one at a time may: certbot holds a lock of its own beside."""

    def __init__(
        self,
        certs: Path,
        office: Office,
        *,
        look: Callable[[str], Obstacle | None],
        run: Run,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        roots: Path = SYSTEM_ROOTS,
    ) -> None:
        """*look* tells what is in the way of proving a name; *roots* holds the roots that the world trusts."""
        self._roots = roots
        self._certs = certs
        self._office = office
        self._look = look
        self._run = run
        self._clock = clock

    def round(self, wanted: Sequence[Wanted]) -> IssuingState:
        """Do for every name what is due now, requests first; returns and stores what is known then."""
        state = self._load(wanted)
        for one in wanted:
            request = self._take_request(one.name)
            for kind in one.key_types:
                if kind != "ecdsa" and state.of(one.name).phase != "ok":
                    continue  # what failed for the first kind would fail for this one, and each attempt counts
                state = self._care_for(state, one.name, kind, request)
        return state

    def has_requests(self) -> bool:
        """Whether somebody asked for something."""
        folder = request_folder(self._certs)
        return folder.is_dir() and any(folder.iterdir())

    def _load(self, wanted: Sequence[Wanted]) -> IssuingState:
        file = state_file(self._certs)
        before = load_state(file)
        names = [lineage(one.name, kind) for one in wanted for kind in one.key_types]
        state = before.only(names)
        for name in names:
            state = state.having(state.of(name))
        if state != before or not file.exists():
            save_state(file, state)
        return state

    def _take_request(self, name: str) -> str:
        file = request_folder(self._certs) / name
        try:
            text = file.read_text(encoding="ascii").strip()
            file.unlink()
        except (OSError, ValueError):
            return ""
        return text

    def _care_for(self, state: IssuingState, name: str, kind: KeyType, request: str) -> IssuingState:
        key = lineage(name, kind)
        now, before = self._clock(), state.of(key)
        leaf = self._leaf(name, kind)
        validity = (leaf.not_valid_before_utc, leaf.not_valid_after_utc) if leaf else None
        held_back = before.failure == Failure.RATE_LIMITED and before.next_try_at and now < before.next_try_at
        if leaf is not None and not before.pins:
            before = replace(before, pins=self._pins(name, kind))
            state = self._keep(state, before)
        if (not request or held_back) and not is_due(before, validity, now):
            if validity and before.expires_at != validity[1]:
                state = self._keep(state, replace(before, phase=before.phase if before.failures else "ok",
                                                  expires_at=validity[1]))  # fmt: skip
            return state
        before = replace(before, expires_at=validity[1] if validity else None)
        return self._keep(state, self._attempt(before, name, kind, new_key=request == "replace"))

    def _keep(self, state: IssuingState, one: NameState) -> IssuingState:
        state = state.having(one)
        save_state(state_file(self._certs), state)
        return state

    def _attempt(self, before: NameState, name: str, kind: KeyType, *, new_key: bool) -> NameState:
        obstacle = self._look(name)
        if obstacle is not None:
            return self._failed(before, Failure.NOT_READY, obstacle.reason, obstacle.advice, None)
        old = self._chain(name, kind).read_bytes() if new_key and self._chain(name, kind).exists() else None
        code, words = self._run(certbot.issue_command(self._office, name, kind, new_key=new_key))
        leaf = self._leaf(name, kind)
        if code == 0 and leaf is None:
            code, words = 1, "certbot reported success, but its certificate cannot be used"
        if code != 0 or leaf is None:
            log.debug("certbot for %s: %s", name, words)
            trouble = certbot.read_words(words, name, self._office.server)
            return self._failed(before, trouble.failure, trouble.reason, trouble.advice, trouble.not_before)
        log.info(
            "%s has a new %s certificate, good until %s", name, kind.upper(), f"{leaf.not_valid_after_utc:%d %B %Y}"
        )
        notes = self._revoke(old) if old is not None else ()
        return replace(
            succeeded(before, leaf.not_valid_after_utc, self._clock(), notes),
            pins=self._pins(name, kind),
        )

    def _pins(self, name: str, kind: KeyType) -> tuple[str, ...]:
        """What TLSA records may pin now; writes the chain with its root, where that is known."""
        chain = read_chain(self._chain(name, kind))
        target = chain_with_root(self._certs, lineage(name, kind))
        root = find_root(chain, self._roots.read_bytes()) if self._roots.exists() else None
        if root is None:
            target.unlink(missing_ok=True)
            return (key_pin(chain[0]),)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix(".new")
        scratch.write_bytes(self._chain(name, kind).read_bytes() + root.public_bytes(Encoding.PEM))
        scratch.replace(target)
        pin = root_pin([*chain, root])
        return (key_pin(chain[0]), *([pin] if pin else []))

    def _failed(
        self, before: NameState, failure: Failure, reason: str, advice: str, not_before: datetime | None
    ) -> NameState:
        after = failed(before, failure, reason, advice, self._clock(), not_before=not_before)
        say = log.info if before.reason == reason else log.error
        say("no certificate for %s: %s. %s Next try at %s", after.name, reason, advice, after.next_try_at)
        return after

    def _revoke(self, chain: bytes) -> tuple[str, ...]:
        file = request_folder(self._certs).parent / "revoked.pem"
        file.write_bytes(chain)
        try:
            code, words = self._run(certbot.revoke_command(self._office, file))
        finally:
            file.unlink()
        if code == 0:
            log.info("the certificate before was revoked")
            return ()
        return (f"the certificate before could not be revoked: {' '.join(words.split())[:300]}",)

    def _chain(self, name: str, kind: KeyType) -> Path:
        return self._office.config / "live" / lineage(name, kind) / "fullchain.pem"

    def _leaf(self, name: str, kind: KeyType) -> x509.Certificate | None:
        """The certificate in force; None when there is none that could be served for *name*."""
        chain = self._chain(name, kind)
        if any(problem.severity == "unusable" for problem in inspect_pair(chain, chain.with_name("privkey.pem"))):
            return None
        try:
            leaf = read_chain(chain)[0]
        except CertificateError:
            return None
        return leaf if covers(leaf, name) else None


def runner(ca_file: Path | None) -> Run:
    """Runs certbot; *ca_file* has the certificates that the authority's HTTPS is checked with."""

    def run(command: Sequence[str]) -> tuple[int, str]:
        environment = {"PATH": PATH, "HOME": "/nonexistent", "LANG": "C.UTF-8"}
        if ca_file is not None:
            environment["REQUESTS_CA_BUNDLE"] = str(ca_file)
        elif bundle := os.environ.get("REQUESTS_CA_BUNDLE"):
            environment["REQUESTS_CA_BUNDLE"] = bundle
        try:
            done = subprocess.run(
                list(command), env=environment, capture_output=True, text=True, errors="replace",
                timeout=CERTBOT_SECONDS, stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return 1, f"certbot: Read timed out after {CERTBOT_SECONDS} s"
        return done.returncode, f"{done.stdout}\n{done.stderr}"

    return run
