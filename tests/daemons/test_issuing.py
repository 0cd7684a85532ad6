"""Certificates from a real authority (Pebble) by real certbot: issued, renewed, replaced, refused, waited for."""

from __future__ import annotations

import http.server
import json
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mailu.identity.certificates import examine, key_pin, letsencrypt_pairs, read_chain, root_pin, serve
from mailu.identity.issuing.certbot import Office
from mailu.identity.issuing.preflight import NoAddress, Obstacle, fetch_over, is_own_address, look
from mailu.identity.issuing.state import (
    IssuingState,
    chain_with_root,
    issuing_folder,
    load_state,
    request_folder,
    state_file,
)
from mailu.servers.issuing import Clerk, Wanted, runner
from tests.daemons.conftest import NETWORK
from tests.pebble import Authority, authority, needs_pebble

pytestmark = [pytest.mark.daemons, pytest.mark.slow, needs_pebble, pytest.mark.timeout(300)]

CA, WEB, NOBODY, OTHER_WEB = (f"{NETWORK}.{host}" for host in (2, 3, 4, 5))
PORT = 5002
NAME, SECOND = "mail.mailu.test", "imap.mailu.test"


class Site:
    """A root that has certificates issued: its folders, its name servers' answers, its clerk at a chosen time."""

    def __init__(self, folder: Path, ca: Authority) -> None:
        self.folder, self.ca = folder, ca
        self.webroot = folder / "acme"
        self.certs = folder / "certs"
        self.names: dict[str, list[str]] = {}
        self.now = datetime.now(UTC)

    def point(self, name: str, *addresses: str) -> None:
        """What we and the authority see in DNS."""
        self.names[name] = list(addresses)
        self.ca.point(name, *addresses)

    def clerk(self, *, checked: bool = True, **changes: object) -> Clerk:
        """*checked*: whether it looks before it asks."""
        facts = {
            "server": self.ca.server, "contact": "postmaster@mailu.test", "config": issuing_folder(self.certs),
            "work": self.folder / "work", "logs": self.folder / "log", "webroot": self.webroot,
        }  # fmt: skip
        return Clerk(
            self.certs,
            Office(**(facts | changes)),  # type: ignore[arg-type]
            look=self._look if checked else lambda _name: None,
            run=runner(self.ca.ca_file),
            clock=lambda: self.now,
        )

    def _look(self, name: str) -> Obstacle | None:
        return look(name, self.webroot, addresses=self._addresses, fetch=fetch_over(PORT), is_ours=is_own_address)

    def _addresses(self, name: str) -> list[str]:
        if name not in self.names:
            raise NoAddress(f"{name} is not in DNS")
        return self.names[name]

    def leaf(self, lineage: str = NAME) -> x509.Certificate:
        """The certificate in force."""
        return read_chain(issuing_folder(self.certs) / "live" / lineage / "fullchain.pem")[0]

    def state(self) -> IssuingState:
        """As any other process reads it."""
        return load_state(state_file(self.certs))

    def request(self, what: str) -> None:
        """As `mailu certificates renew` does it."""
        request_folder(self.certs).mkdir(parents=True, exist_ok=True)
        (request_folder(self.certs) / NAME).write_text(what)


@contextmanager
def web(folder: Path, address: str) -> Iterator[None]:
    """A web server for *folder*, as nginx is for challenges."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer((address, PORT), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """One authority for all tests here."""
    with authority(CA, tmp_path_factory.mktemp("pebble"), http_port=PORT) as made:
        yield made


@pytest.fixture
def site(tmp_path: Path, ca: Authority) -> Iterator[Site]:
    """A fresh root whose web server answers."""
    made = Site(tmp_path, ca)
    made.webroot.mkdir()
    made.point(NAME, WEB)
    with web(made.webroot, WEB):
        yield made


def public(leaf: x509.Certificate) -> bytes:
    """The key that a TLSA record pins."""
    return leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_a_name_gets_an_ecdsa_and_an_rsa_certificate_that_are_served_together(site: Site) -> None:
    state = site.clerk().round([Wanted(NAME, ("ecdsa", "rsa"))])
    assert state.of(NAME).phase == "ok"
    assert state.of(NAME).expires_at == site.leaf().not_valid_after_utc
    assert isinstance(site.leaf().public_key(), ec.EllipticCurvePublicKey)
    assert isinstance(site.leaf(f"{NAME}-rsa").public_key(), rsa.RSAPublicKey)
    served = serve(site.certs, [NAME], [examine(pair) for pair in letsencrypt_pairs(site.certs)])  # type: ignore[list-item]
    live = issuing_folder(site.certs) / "live"
    assert served.certificates == ((NAME, live / NAME / "fullchain.pem", live / NAME / "privkey.pem"),)
    assert served.beside[0][1] == live / f"{NAME}-rsa" / "fullchain.pem"
    assert served.problems == ()


def test_a_certificate_that_is_not_due_is_left_alone_and_one_that_is_keeps_its_key(site: Site) -> None:
    site.clerk().round([Wanted(NAME)])
    first = site.leaf()
    site.clerk().round([Wanted(NAME)])
    assert site.leaf() == first
    lifetime = first.not_valid_after_utc - first.not_valid_before_utc
    site.now = first.not_valid_before_utc + lifetime * 0.7
    site.clerk().round([Wanted(NAME)])
    assert site.leaf().serial_number != first.serial_number
    assert public(site.leaf()) == public(first), "TLSA records pin the key"


def test_a_renewal_can_be_asked_for(site: Site) -> None:
    site.clerk().round([Wanted(NAME)])
    first = site.leaf()
    site.request("renew")
    assert site.clerk().has_requests()
    site.clerk().round([Wanted(NAME)])
    assert site.leaf().serial_number != first.serial_number
    assert public(site.leaf()) == public(first)
    assert not site.clerk().has_requests()


def test_a_replaced_certificate_has_a_new_key_and_the_old_one_is_revoked(site: Site) -> None:
    site.clerk().round([Wanted(NAME)])
    first = site.leaf()
    site.request("replace")
    state = site.clerk().round([Wanted(NAME)])
    assert state.of(NAME).notes == ()
    assert public(site.leaf()) != public(first)
    assert site.ca.revoked(first.serial_number)
    assert not site.ca.revoked(site.leaf().serial_number)


def test_a_name_that_fails_does_not_stop_the_others(site: Site) -> None:
    site.point(SECOND, NOBODY)
    state = site.clerk().round([Wanted(SECOND), Wanted(NAME), Wanted("absent.mailu.test")])
    assert state.of(NAME).phase == "ok"
    assert state.of(SECOND).phase == "failed"
    assert "port 80 does not answer" in state.of(SECOND).reason
    assert "not in DNS" in state.of("absent.mailu.test").reason
    assert "Add an A record" in state.of("absent.mailu.test").advice
    site.point(SECOND, WEB)
    site.now += timedelta(minutes=2)
    assert site.clerk().round([Wanted(SECOND), Wanted(NAME)]).of(SECOND).phase == "ok"


def test_another_server_at_the_address_is_noticed_before_the_authority_is_asked(site: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    asked = tmp_path / "log"
    with web(tmp_path / "other", OTHER_WEB):
        site.point(NAME, WEB, OTHER_WEB)
        state = site.clerk().round([Wanted(NAME)])
    assert "another server answers" in state.of(NAME).reason
    assert not asked.exists(), "certbot was not started"


def test_what_the_authority_could_not_check_is_said_with_what_to_do(site: Site) -> None:
    site.point(NAME, NOBODY)
    state = site.clerk(checked=False).round([Wanted(NAME)])
    known = state.of(NAME)
    assert known.failure == "refused"
    assert NOBODY in known.reason
    assert "Open port 80" in known.advice
    assert known.next_try_at == site.now + timedelta(minutes=15)


def test_with_the_authority_down_the_old_certificate_stays_and_it_is_tried_again(site: Site) -> None:
    site.clerk().round([Wanted(NAME)])
    first = site.leaf()
    site.now = first.not_valid_after_utc - timedelta(days=5)
    site.ca.stop()
    try:
        known = site.clerk().round([Wanted(NAME)]).of(NAME)
    finally:
        site.ca.start()
    assert known.failure == "unreachable"
    assert known.expires_at == first.not_valid_after_utc
    assert site.leaf() == first
    assert known.next_try_at == site.now + timedelta(minutes=5)
    site.now += timedelta(minutes=6)
    # An authority that forgot everything, the account too, is what Pebble is after a start.
    known = site.clerk().round([Wanted(NAME)]).of(NAME)
    if known.phase == "failed":
        shutil.rmtree(issuing_folder(site.certs) / "accounts")
        site.now += timedelta(hours=2)
        known = site.clerk().round([Wanted(NAME)]).of(NAME)
    assert known.phase == "ok", known
    assert site.leaf() != first


def test_an_authority_that_refuses_nonces_is_asked_again_until_it_takes_them(site: Site) -> None:
    site.ca.stop()
    site.ca.start(PEBBLE_WFE_NONCEREJECT="30")
    try:
        for _ in range(8):
            known = site.clerk().round([Wanted(NAME)]).of(NAME)
            if known.phase == "ok":
                break
            assert known.failure in ("unreachable", "other")
            site.now = known.next_try_at or site.now
    finally:
        site.ca.stop()
        site.ca.start()
    assert known.phase == "ok"


def test_a_rate_limit_is_kept_to_even_when_somebody_asks(site: Site) -> None:
    allowed = (site.now + timedelta(days=2)).replace(microsecond=0)
    words = (
        "An unexpected error occurred:\ntoo many certificates (5) already issued for this exact set of identifiers in "
        f"the last 168h0m0s, retry after {allowed:%Y-%m-%d %H:%M:%S} UTC: see https://letsencrypt.org/docs/rate-limits/"
    )
    runs: list[object] = []

    def refuse(command: object) -> tuple[int, str]:
        runs.append(command)
        return 1, words

    clerk = site.clerk()
    clerk._run = refuse
    known = clerk.round([Wanted(NAME)]).of(NAME)
    assert known.failure == "rate_limited"
    assert known.next_try_at == allowed
    site.request("renew")
    site.now += timedelta(days=1)
    clerk.round([Wanted(NAME)])
    assert len(runs) == 1, "it was not asked in between"
    site.now = allowed + timedelta(seconds=1)
    assert site.clerk().round([Wanted(NAME)]).of(NAME).phase == "ok"


def test_repeated_failures_wait_longer_each_time_and_over_restarts(site: Site) -> None:
    site.point(NAME, NOBODY)
    pauses = []
    for _ in range(4):
        known = site.clerk(checked=False).round([Wanted(NAME)]).of(NAME)
        assert known.next_try_at
        pauses.append(known.next_try_at - site.now)
        before = site.state()
        site.now += timedelta(seconds=30)
        assert site.clerk(checked=False).round([Wanted(NAME)]) == before, "nothing is done before the time"
        site.now = known.next_try_at
    assert pauses == [timedelta(minutes=15 * 2**n) for n in range(4)]


def test_dns_01_works_where_port_80_does_not(site: Site) -> None:
    site.point(NAME, NOBODY)
    hooks = site.folder / "hooks"
    hooks.mkdir()
    (hooks / "dns-add").write_text(
        "#!/bin/sh\n"
        """printf '{"host":"_acme-challenge.%s.","value":"%s"}' "$CERTBOT_DOMAIN" "$CERTBOT_VALIDATION" |\n"""
        f"curl -s -d @- http://{CA}:8055/set-txt\n"
    )
    (hooks / "dns-remove").write_text("#!/bin/sh\n")
    for program in hooks.iterdir():
        program.chmod(stat.S_IRWXU)
    state = site.clerk(checked=False, dns_plugin="hook", dns_hooks=hooks).round([Wanted(NAME)])
    assert state.of(NAME).phase == "ok", state.of(NAME)


def test_names_that_nobody_wants_any_more_are_forgotten(site: Site) -> None:
    site.clerk().round([Wanted(NAME), Wanted("absent.mailu.test")])
    assert set(site.clerk().round([Wanted(NAME)]).names) == {NAME}
    document = json.loads(state_file(site.certs).read_text())
    assert [one["name"] for one in document["names"]] == [NAME]


def test_pins_fit_the_chain_that_is_sent_and_the_root_goes_with_it_where_it_is_known(site: Site) -> None:
    roots = site.folder / "roots.pem"
    roots.write_bytes(site.ca.root().public_bytes(Encoding.PEM))
    clerk = site.clerk()
    clerk._roots = roots
    pins = clerk.round([Wanted(NAME)]).of(NAME).pins
    chain = read_chain(chain_with_root(site.certs, NAME))
    assert chain[-1] == site.ca.root()
    assert pins == (key_pin(chain[0]), root_pin(chain))
    roots.unlink()
    site.request("renew")
    assert site.clerk().round([Wanted(NAME)]).of(NAME).pins == (pins[0],), "the key is kept, its pin stays"
    assert not chain_with_root(site.certs, NAME).exists()
