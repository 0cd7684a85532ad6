"""What people move into Junk and out of it teaches the filter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.daemons.dovecot.house import House, eventually, message
from tests.unit.daemons.dovecot.surroundings import Controller

pytestmark = pytest.mark.daemons


@pytest.fixture
def controller(home: House) -> Iterator[Controller]:
    """The filter, running, and told nothing yet."""
    home.around.controller.requests.clear()
    with home.around.filter_running() as running:
        yield running
    running.status, running.delay_seconds = b"200 OK", 0


def move(home: House, address: str, start: str, to: str) -> float:
    """Move everything from one folder to another; how many seconds it took."""
    session = home.imap(address)
    session.select(start)
    began = time.monotonic()
    status, _ = session._simple_command("MOVE", "1:*", to)
    took_seconds = time.monotonic() - began
    session.logout()
    assert status == "OK"
    return took_seconds


def taught(controller: Controller) -> list[tuple[str, str]]:
    """Paths and flags, in order."""
    return [(path, headers.get("flag", "")) for path, headers, _ in controller.requests]


SPAM = [("/learnspam", ""), ("/fuzzydel", "13"), ("/fuzzyadd", "11")]
HAM = [("/learnham", ""), ("/fuzzydel", "11"), ("/fuzzyadd", "13")]


def test_moving_into_junk_teaches_spam_and_out_of_it_ham(home: House, controller: Controller) -> None:
    address = home.person()
    home.deliver(address, message(Subject="lesson"))
    move(home, address, "INBOX", "Junk")
    assert eventually(lambda: taught(controller) == SPAM)
    assert b"Subject: lesson" in controller.requests[0][2]
    assert controller.requests[0][1]["password"] == home.request.settings.service_key("RSPAMD")
    move(home, address, "Junk", "INBOX")
    assert eventually(lambda: taught(controller) == SPAM + HAM)


def test_appending_to_junk_teaches_spam(home: House, controller: Controller) -> None:
    session = home.imap(home.person())
    session.append("Junk", "", "", message())
    session.logout()
    assert eventually(lambda: taught(controller) == SPAM)


def test_throwing_junk_away_and_automatic_filing_teach_nothing(home: House, controller: Controller) -> None:
    address = home.person()
    home.deliver(address, message(X_Spam_Level="*" * 15))
    move(home, address, "Junk", "Trash")
    home.deliver(address)
    move(home, address, "INBOX", "Drafts")
    time.sleep(0.5)
    assert taught(controller) == []


def test_nobody_waits_for_a_slow_filter(home: House, controller: Controller) -> None:
    controller.delay_seconds = 0.7
    address = home.person()
    for _ in range(3):
        home.deliver(address)
    assert move(home, address, "INBOX", "Junk") < 1.5
    assert eventually(lambda: taught(controller) == 3 * SPAM, 20)


def test_what_is_learned_while_the_filter_is_away_waits_for_it(home: House) -> None:
    spool = home.request.places.service("imap") / "learn"
    address = home.person()
    home.deliver(address)
    home.around.controller.requests.clear()
    move(home, address, "INBOX", "Junk")
    assert eventually(lambda: "the filter does not answer" in home.daemon.said())
    assert [path.suffix for path in spooled(spool)] == [".spam"]
    with home.around.filter_running() as controller:
        home.deliver(address)
        move(home, address, "INBOX", "Junk")
        assert eventually(lambda: taught(controller) == 2 * SPAM)
    assert eventually(lambda: spooled(spool) == [])


def spooled(spool: Path) -> list[Path]:
    """The messages that wait."""
    return sorted(path for path in spool.iterdir() if path.suffix in (".spam", ".ham"))
