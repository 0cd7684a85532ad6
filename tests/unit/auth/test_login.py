"""What the judge decides about one attempt, protocol by protocol."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from passlib.hash import md5_crypt, sha256_crypt
from tests.unit.auth.fakes import House, PlainVerifier, attempt, directory, rules, user

from mailu.auth import passwords, tokens
from mailu.auth.accounts import Upgrade
from mailu.auth.login import Accepted, Protocol, Reason, Refused, TryLater
from mailu.auth.pool import FairPool, PoolFull, Turn
from mailu.auth.sessions import SessionRules, Sessions
from mailu.auth.shelf import MemoryShelf, Shelf
from mailu.auth.verifier import Verdict, Verifier
from mailu.directory.snapshot import TokenEntry, UserEntry

ANN, BOB = "ann@example.org", "bob@example.org"
SECRET, BOUND, OLD = "0" * 31 + "1", "0" * 31 + "2", "0" * 31 + "3"
MAIL: list[Protocol] = ["imap", "pop3", "smtp", "sieve"]
WEBMAIL: list[Protocol] = ["webmail-imap", "webmail-smtp", "webmail-sieve"]


def house(*, require_tokens: bool = False, require_tls: bool = True, **ann: Any) -> House:
    """Ann has the password ``secret``, a token for anywhere, one for 192.0.2.0/24 and one of the first ones."""
    hers = (
        TokenEntry(1, tokens.hash_token(SECRET), (), "phone"),
        TokenEntry(2, tokens.hash_token(BOUND), ("192.0.2.0/24",), "laptop"),
        TokenEntry(3, sha256_crypt.using(rounds=1000).hash(OLD), (), "first"),
    )
    return House(
        directory(user(ANN, "secret")._replace(**ann), user(BOB, "geheim"), tokens={ANN: hers}),
        require_tokens=require_tokens,
        require_tls=require_tls,
    )


def reason(decision: object) -> Reason | None:
    return decision.reason if isinstance(decision, Refused) else None


# Passwords


@pytest.mark.parametrize("protocol", [*MAIL, "web", "dav"])
def test_the_right_password_opens_every_protocol(protocol: Protocol) -> None:
    assert asyncio.run(house().try_(protocol=protocol)) == Accepted(ANN, "password")


@pytest.mark.parametrize(
    "login", [ANN, "ANN@Example.ORG", " ann@example.org ", '"ann"@example.org', "ann@example.org."]
)
def test_the_account_is_found_under_each_spelling_of_its_address(login: str) -> None:
    assert asyncio.run(house().try_(login)) == Accepted(ANN, "password")


def test_a_domain_is_found_in_unicode_and_in_a_labels() -> None:
    place = House(directory(user("ann@xn--bcher-kva.example", "secret")))
    for login in ("ann@bücher.example", "ann@xn--bcher-kva.example"):
        assert asyncio.run(place.try_(login)) == Accepted("ann@xn--bcher-kva.example", "password")


def test_an_account_with_an_odd_name_of_old_logs_in() -> None:
    assert asyncio.run(House(directory(user("a..b c@example.org", "secret"))).try_("A..b C@example.org")) == Accepted(
        "a..b c@example.org", "password"
    )


@pytest.mark.parametrize(
    "login",
    ["ann", "nobody@example.org", "ann@alt.example.org", "ann+x@example.org", "", "@", "a@b@c", "\udcff", "x" * 9999],
)
def test_other_names_are_nobody(login: str) -> None:
    assert reason(asyncio.run(house().try_(login))) is Reason.BAD_CREDENTIALS


def test_unknown_accounts_and_wrong_passwords_are_answered_alike() -> None:
    assert asyncio.run(house().try_(ANN, "wrong")) == asyncio.run(house().try_("nobody@example.org", "wrong"))


def test_a_password_that_an_unknown_name_would_match_opens_nothing() -> None:
    place = House(directory(user(ANN, "secret")))
    assert reason(asyncio.run(place.try_("nobody@example.org", "secret"))) is Reason.BAD_CREDENTIALS
    assert place.plain.asked == 1


def test_an_account_without_a_password_has_none_that_is_right() -> None:
    place = House(directory(user(ANN, ""), user(BOB, "geheim")))
    for password in ("", "geheim"):
        assert reason(asyncio.run(place.try_(ANN, password))) is Reason.BAD_CREDENTIALS


def test_a_disabled_account_is_refused_and_only_told_to_its_owner() -> None:
    place = house(enabled=False)
    assert reason(asyncio.run(place.try_())) is Reason.ACCOUNT_DISABLED
    assert reason(asyncio.run(place.try_(password=SECRET))) is Reason.ACCOUNT_DISABLED
    assert reason(asyncio.run(place.try_(password="wrong"))) is Reason.BAD_CREDENTIALS


@pytest.mark.parametrize(("protocol", "switch"), [("imap", "enable_imap"), ("pop3", "enable_pop")])
def test_protocols_are_switched_off_one_by_one(protocol: Protocol, switch: str) -> None:
    place = house(**{switch: False})
    assert reason(asyncio.run(place.try_(protocol=protocol))) is Reason.PROTOCOL_DISABLED
    assert reason(asyncio.run(place.try_(password=SECRET, protocol=protocol))) is Reason.PROTOCOL_DISABLED
    others: list[Protocol] = [each for each in [*MAIL, "web", "dav"] if each != protocol]
    for other in others:
        assert isinstance(asyncio.run(place.try_(protocol=other)), Accepted)


def test_a_password_that_must_be_changed_is_told_to_the_web_only() -> None:
    place = house(change_pw_next_login=True)
    assert asyncio.run(place.try_(protocol="web")) == Accepted(ANN, "password", must_change_password=True)
    for protocol in [*MAIL, "dav"]:
        assert asyncio.run(place.try_(protocol=protocol)) == Accepted(ANN, "password")


@pytest.mark.parametrize("protocol", MAIL)
def test_no_password_of_a_mail_program_crosses_the_network_in_clear_text(protocol: Protocol) -> None:
    place = house()
    assert reason(asyncio.run(place.try_(protocol=protocol, tls=False))) is Reason.TLS_REQUIRED
    assert place.plain.asked == 0
    assert isinstance(asyncio.run(house(require_tls=False).try_(protocol=protocol, tls=False)), Accepted)


def test_a_password_is_found_in_either_unicode_form() -> None:
    place = House(directory(user(ANN, passwords.hash_password("Grün"))), verifier=Verifier(FairPool(2)))
    decomposed = unicodedata.normalize("NFD", "Grün")

    async def play() -> None:
        assert isinstance(await place.try_(password=decomposed), Accepted)
        assert isinstance(await place.try_(password="Grün"), Accepted)
        await place.judge.close()

    asyncio.run(play())


# App tokens


@pytest.mark.parametrize("protocol", [*MAIL, "dav", "api"])
def test_an_app_token_opens_every_protocol(protocol: Protocol) -> None:
    assert asyncio.run(house().try_(password=SECRET, protocol=protocol)) == Accepted(ANN, "token-1", "phone")


def test_an_app_token_does_not_open_the_pages_where_passwords_are_changed() -> None:
    decision = asyncio.run(house().try_(password=SECRET, protocol="web"))
    assert isinstance(decision, Refused)
    assert decision.reason is Reason.BAD_CREDENTIALS


def test_a_right_token_from_a_wrong_address_ends_the_matter() -> None:
    place = House(
        directory(user(ANN, BOUND), tokens={ANN: (TokenEntry(2, tokens.hash_token(BOUND), ("192.0.2.0/24",), ""),)})
    )
    assert asyncio.run(place.try_(password=BOUND, client_ip="192.0.2.9")) == Accepted(ANN, "token-2")
    assert reason(asyncio.run(place.try_(password=BOUND, client_ip="198.51.100.9"))) is Reason.BAD_ADDRESS
    assert place.plain.asked == 0, "the account's password, which is the same text, was never looked at"


def test_a_token_opens_its_owners_account_only() -> None:
    assert reason(asyncio.run(house().try_(BOB, SECRET))) is Reason.BAD_CREDENTIALS


def test_what_looks_like_a_token_may_be_the_password() -> None:
    assert asyncio.run(house(password="a" * 32).try_(password="a" * 32)) == Accepted(ANN, "password")


def test_tokens_come_before_limits_and_make_the_address_known() -> None:
    place = house()

    async def play() -> None:
        for number in range(200):
            await place.try_(password=f"guess {number}")
        assert reason(await place.try_()) is Reason.RATE_LIMITED
        assert isinstance(await place.try_(password=SECRET), Accepted)
        assert isinstance(await place.try_(), Accepted), "the address is the owner's"

    asyncio.run(play())


@pytest.mark.parametrize("protocol", [*MAIL, "dav"])
def test_where_tokens_are_required_the_password_is_not_enough(protocol: Protocol) -> None:
    place = house(require_tokens=True)
    assert reason(asyncio.run(place.try_(protocol=protocol))) is Reason.TOKEN_REQUIRED
    assert reason(asyncio.run(place.try_(password="wrong", protocol=protocol))) is Reason.BAD_CREDENTIALS
    assert isinstance(asyncio.run(place.try_(password=SECRET, protocol=protocol)), Accepted)


def test_the_web_takes_the_password_even_where_tokens_are_required() -> None:
    assert asyncio.run(house(require_tokens=True).try_(protocol="web")) == Accepted(ANN, "password")


def test_the_api_takes_tokens_only() -> None:
    place = house()
    assert reason(asyncio.run(place.try_(protocol="api"))) is Reason.BAD_CREDENTIALS
    assert place.plain.asked == 0


def test_a_token_with_an_old_hash_works_and_gets_a_new_one() -> None:
    hashed = sha256_crypt.using(rounds=1000).hash(OLD)
    place = House(
        directory(user(ANN, md5_crypt.hash("secret")), tokens={ANN: (TokenEntry(3, hashed, (), "first"),)}),
        verifier=Verifier(FairPool(2)),
    )

    async def play() -> None:
        assert await place.try_(password=OLD) == Accepted(ANN, "token-3", "first")
        (record,) = place.records
        assert record.upgrade
        assert (record.upgrade.token_id, record.upgrade.stored) == (3, hashed)
        renewed = TokenEntry(3, record.upgrade.replacement, (), "first")
        place.snapshot = directory(place.snapshot.users[ANN], tokens={ANN: (renewed,)})
        assert tokens.is_quick(renewed)
        assert await place.try_(password=OLD) == Accepted(ANN, "token-3", "first")
        await place.judge.close()

    asyncio.run(play())


# Session tokens


async def _with_session() -> tuple[House, str]:
    sessions = Sessions(MemoryShelf(), SessionRules(3600, 86400, 128, b"k"))
    place = House(directory(user(ANN, "secret", enable_imap=False), user(BOB, "geheim")), sessions=sessions)
    session = await sessions.create(place.snapshot.users[ANN])
    return place, session.webmail_token


@pytest.mark.parametrize("protocol", WEBMAIL)
def test_the_webmail_comes_in_with_its_session_token_even_without_imap(protocol: Protocol) -> None:
    async def play() -> None:
        place, token = await _with_session()
        here = {"protocol": protocol, "client_ip": "127.0.0.1", "tls": False}
        assert await place.try_(ANN, token, **here) == Accepted(ANN, "webmail-token")
        assert reason(await place.try_(BOB, token, **here)) is Reason.BAD_CREDENTIALS
        assert reason(await place.try_(ANN, "token-x", **here)) is Reason.BAD_CREDENTIALS
        for _ in range(300):
            assert reason(await place.try_(ANN, "secret", **here)) is Reason.BAD_CREDENTIALS, "no password, no limits"
        assert place.plain.asked == 0

    asyncio.run(play())


@pytest.mark.parametrize("protocol", [*MAIL, "web", "dav", "api"])
def test_a_session_token_opens_nothing_else(protocol: Protocol) -> None:
    async def play() -> None:
        place, token = await _with_session()
        assert not isinstance(await place.try_(ANN, token, protocol=protocol), Accepted)

    asyncio.run(play())


def test_a_session_token_ends_with_the_account() -> None:
    async def play() -> None:
        place, token = await _with_session()
        place.snapshot = directory(user(ANN, "secret", enabled=False))
        assert reason(await place.try_(ANN, token, protocol="webmail-imap")) is Reason.BAD_CREDENTIALS

    asyncio.run(play())


# Upgrades and records


def test_an_outdated_hash_is_replaced_at_the_log_in_and_sessions_live_on() -> None:
    async def play() -> None:
        sessions = Sessions(MemoryShelf(), SessionRules(3600, 86400, 128, b"k"))
        old = md5_crypt.hash("secret")
        place = House(directory(user(ANN, old)), verifier=Verifier(FairPool(2)), sessions=sessions)
        session = await sessions.create(place.snapshot.users[ANN])
        assert isinstance(await place.try_(), Accepted)
        upgrade = place.records[0].upgrade
        assert upgrade == Upgrade(None, old, upgrade.replacement if upgrade else "")
        assert upgrade
        assert passwords.verify(b"secret", upgrade.replacement)
        place.snapshot = directory(user(ANN, upgrade.replacement))
        assert await sessions.load(session.id, place.snapshot.users.get)
        assert isinstance(await place.try_(), Accepted)
        assert len([record for record in place.records if record.upgrade]) == 1
        await place.judge.close()

    asyncio.run(play())


def test_a_wrong_password_replaces_nothing() -> None:
    place = House(directory(user(ANN, md5_crypt.hash("secret"))), verifier=Verifier(FairPool(2)))

    async def play() -> None:
        await place.try_(password="wrong")
        await place.judge.close()

    asyncio.run(play())
    assert place.records == []


def test_log_ins_are_written_down_at_most_every_ten_minutes() -> None:
    place = house()

    async def play() -> None:
        for minute in range(25):
            await place.try_()
            await place.try_(BOB, "geheim") if minute == 3 else None
            place.clock.advance(60)
        await place.try_(password="wrong")

    asyncio.run(play())
    assert [record.email for record in place.records] == [ANN, BOB, ANN, ANN]


# When things go wrong


class _Broken(PlainVerifier):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def verify(self, account: str, stored: str, password: bytes, turn: Turn, *, upgrade: bool = True) -> Verdict:
        raise self._error


@pytest.mark.parametrize("error", [PoolFull(), RuntimeError("a bug"), OSError("no threads")])
def test_what_cannot_be_found_out_is_try_later_and_counts_as_nothing(error: Exception) -> None:
    place = House(directory(user(ANN, "secret")), verifier=_Broken(error))

    async def play() -> None:
        for _ in range(100):
            assert isinstance(await place.try_(), TryLater)
        assert await place.limits.counters.keys("") == []

    asyncio.run(play())


class _Away(MemoryShelf):
    async def get(self, key: str, seconds: int | None = None) -> str | None:
        raise RuntimeError("a bug in Redis")


def test_the_webmail_is_told_to_try_later_when_sessions_cannot_be_read() -> None:
    shelf: Shelf = _Away()
    place = House(directory(user(ANN, "secret")), sessions=Sessions(shelf, SessionRules(3600, 86400, 128, b"k")))
    assert isinstance(asyncio.run(place.try_(ANN, "token-x", protocol="webmail-imap")), TryLater)


def test_who_hangs_up_before_the_answer_has_guessed_all_the_same() -> None:
    place = House(directory(user(ANN, passwords.hash_password("secret"))), verifier=Verifier(FairPool(2)))

    async def play() -> None:
        for _ in range(15):
            tasks = [asyncio.create_task(place.try_(password=f"guess {n}")) for n in range(8)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.5)
        assert isinstance(await place.try_(), Accepted), "eight different wrong passwords, and nothing is pending"
        for number in range(8, 12):
            await place.try_(password=f"guess {number}", client_ip="192.0.2.200")
        assert reason(await place.try_(client_ip="192.0.2.200")) is Reason.RATE_LIMITED
        await place.judge.close()

    asyncio.run(play())


def test_exempt_networks_are_never_limited() -> None:
    place = House(directory(user(ANN, "secret")), limit_rules=rules(exempt=(ipaddress.ip_network("192.0.2.0/24"),)))

    async def play() -> None:
        for number in range(300):
            assert reason(await place.try_(password=f"guess {number}")) is Reason.BAD_CREDENTIALS
        assert isinstance(await place.try_(), Accepted)
        assert await place.limits.counters.keys("") == []

    asyncio.run(play())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    login=st.text(max_size=60) | st.sampled_from([ANN, BOB]),
    password=st.binary(max_size=40) | st.sampled_from([b"secret", SECRET.encode(), BOUND.encode()]),
    protocol=st.sampled_from([*MAIL, *WEBMAIL, "web", "dav", "api"]),
    client_ip=st.sampled_from(["192.0.2.1", "2001:db8::1", "", "unknown", "\n"]),
    device=st.none() | st.text(max_size=80),
    tls=st.booleans(),
)
def test_nothing_that_strangers_send_makes_it_raise_and_nobody_gets_in_as_another(
    login: str, password: bytes, protocol: Protocol, client_ip: str, device: str | None, tls: bool
) -> None:
    place = house()
    decision = asyncio.run(
        place.judge.decide(attempt(login, password, protocol=protocol, client_ip=client_ip, device=device, tls=tls))
    )
    assert not isinstance(decision, TryLater)
    if isinstance(decision, Accepted):
        right = {ANN: {b"secret", SECRET.encode(), BOUND.encode(), OLD.encode()}, BOB: {b"geheim"}}
        assert password in right[decision.email]
        assert login.strip().lower().replace('"', "") == decision.email


# Log lines


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "mailu.auth"]


def test_every_attempt_leaves_the_line_that_jails_and_dashboards_know(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mailu.auth")
    place = house(require_tokens=True)

    async def play() -> None:
        await place.try_("Ann@Example.org", protocol="web", local_port=443)
        await place.try_()
        await place.try_(password=SECRET, protocol="smtp", local_port=465)
        await place.try_(password=BOUND, client_ip="2001:db8::1")
        await place.try_(password="wrong", client_ip="198.51.100.1")
        await place.try_("nobody", password="wrong", client_ip="198.51.100.1")
        place.snapshot = directory(user(ANN, "secret", enabled=False))
        await place.try_()

    asyncio.run(play())
    fingerprint = _lines(caplog)[4].rpartition(" ")[2]
    assert len(fingerprint) == 6
    assert _lines(caplog) == [
        "Login attempt for: ann@example.org/web/443 from: 192.0.2.1/50123: success: password",
        "Login attempt for: ann@example.org/imap/993 from: 192.0.2.1/50123: "
        "failed: password ok, but a token is required",
        "Login attempt for: ann@example.org/smtp/465 from: 192.0.2.1/50123: success: token-1: 'phone'",
        "Login attempt for: ann@example.org/imap/993 from: 2001:db8::1/50123: failed: badip: token-2: 'laptop'",
        f"Login attempt for: ann@example.org/imap/993 from: 198.51.100.1/50123: failed: badauth: {fingerprint}",
        f"Login attempt for: nobody/imap/993 from: 198.51.100.1/50123: failed: badauth: {fingerprint}",
        "Login attempt for: ann@example.org/imap/993 from: 192.0.2.1/50123: failed: account disabled",
    ]


def test_the_webmails_log_ins_are_logged_under_the_protocols_own_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mailu.auth")

    async def play() -> None:
        place, token = await _with_session()
        await place.try_(ANN, token, protocol="webmail-imap", local_port=10143, client_ip="127.0.0.1")

    asyncio.run(play())
    assert _lines(caplog) == [
        "Login attempt for: ann@example.org/imap/10143 from: 127.0.0.1/50123: success: webmail-token"
    ]


def test_refusals_by_a_limit_name_the_account_or_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "mailu.auth")
    place = house()

    async def play() -> None:
        for number in range(11):
            await place.try_(password=f"guess {number}")
        for number in range(6):
            await place.try_(f"nobody{number}@example.org", client_ip="198.51.100.1")

    asyncio.run(play())
    assert _lines(caplog) == [
        "Authentication attempt from 192.0.2.1 for ann@example.org has been rate-limited.",
        "Authentication attempt from 198.51.100.1 has been rate-limited.",
    ]


def test_no_password_is_ever_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = ["wrong-Kennwort", "secret", SECRET, BOUND, OLD]

    async def play() -> None:
        for protocol in (*MAIL, *WEBMAIL, "web", "dav", "api"):
            for password in secrets:
                await house().try_(password=password, protocol=protocol, client_ip="198.51.100.1")
        broken = House(directory(user(ANN, "secret")), verifier=_Broken(RuntimeError("a bug")))
        await broken.try_(password="wrong-Kennwort")

    asyncio.run(play())
    assert "could not be decided" in caplog.text
    assert "secret" not in repr(attempt(ANN, "secret"))
    for password in secrets:
        assert password not in "\n".join(_lines(caplog))


# What Mailu stored


def test_everybody_of_an_old_installation_logs_in_and_is_upgraded() -> None:
    stored = {
        "anna": ("Fixture-anna", "$bcrypt-sha256$v=2,t=2b,r=12$ZvjFqzAScepdodBNK/C33e$Uq55.wXG4XsRf2sbYJx7Jcd0PMcpkIi"),
        "bob/with/slash": ("password", "$1$F2OStvi1$Q8hBIHkdJpJkJn/TrMIZ9/"),
        "emil": (
            "Fixture-emil",
            "{PBKDF2}$pbkdf2-sha256$1000$rvVeaw3B2BvD.L835rzX2g$UMKeSZtCLY9bL4o.7R5325RVNPMbLYi0ELbfJjimE4k",
        ),
        "fritz": ("Fixture-fritz", "{BLF-CRYPT}$2b$05$MfU0FeerFZMNDLMNvNAzoO9CXXtJkDWe8XFVqHgORmpvX2Hxsw4xS"),
    }
    accounts: list[UserEntry] = [user(f"{name}@example.org", hashed) for name, (_, hashed) in stored.items()]
    place = House(directory(*accounts), verifier=Verifier(FairPool(2)))

    async def play() -> None:
        for name, (password, hashed) in stored.items():
            assert await place.try_(f"{name}@example.org", password) == Accepted(f"{name}@example.org", "password")
            upgrade = place.records[-1].upgrade
            assert upgrade
            assert upgrade.stored == hashed
            assert not passwords.needs_rehash(upgrade.replacement)
        await place.judge.close()

    asyncio.run(play())
