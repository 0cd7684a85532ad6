"""Postfix is told to end while it delivers."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.daemons.postfix.stage import Stage

from mailu.daemons.postfix import ROOM
from mailu.daemons.postfix.ending import end_after_deliveries

pytestmark = pytest.mark.daemons

PAUSE_SECONDS = 1.0


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as standing:
        yield standing


def stored_and_not_said_so(stage: Stage, subject: str) -> None:
    """Send a message that arrives, and of whose arrival Postfix does not hear yet."""
    stage.mailboxes.pause_seconds = PAUSE_SECONDS
    with stage.connect() as client:
        body = f"Subject: {subject}\r\n\r\ntext\r\n".encode()
        assert client.mail("stranger@remote.example", "ann@example.com", body=body).startswith("250")
    stage.mailboxes.wait(subject)


def times_delivered(stage: Stage, subject: str, end: Callable[[], None]) -> int:
    """How often it is there after *end* and another start."""
    stored_and_not_said_so(stage, subject)
    end()
    assert stage.postfix.wait(10) is not None
    stage.mailboxes.pause_seconds = 0.0
    stage.start_postfix()
    stage.until(lambda: "Mail queue is empty" in stage.run("postqueue", "-p"), "an empty queue")
    return sum(subject.encode() in delivery.text for delivery in stage.mailboxes.deliveries)


def test_what_is_being_delivered_is_delivered_once(stage: Stage) -> None:
    request = stage.request(Path("/nowhere"))
    assert times_delivered(stage, "ended politely", lambda: ROOM.end(request, stage.postfix.pid)) == 1


def test_cut_off_it_would_be_delivered_twice(stage: Stage) -> None:
    """Which is what the other test protects from."""
    assert times_delivered(stage, "cut off", lambda: stage.postfix.send_signal(signal.SIGTERM)) == 2


def test_a_delivery_without_end_is_not_waited_for(stage: Stage) -> None:
    stored_and_not_said_so(stage, "slow")
    began = time.monotonic()
    end_after_deliveries(stage.postfix.pid, stage.places.mail_queue, seconds=0.2)
    assert stage.postfix.wait(10) is not None
    assert time.monotonic() - began < PAUSE_SECONDS


def test_nothing_to_deliver_takes_no_time_and_who_is_gone_is_no_error(stage: Stage) -> None:
    began = time.monotonic()
    end_after_deliveries(stage.postfix.pid, stage.places.mail_queue, seconds=60)
    assert stage.postfix.wait(10) is not None
    assert time.monotonic() - began < 10
    end_after_deliveries(stage.postfix.pid, stage.places.mail_queue)
