"""A destination that cannot encrypt is sent to while an exception says so, and not a day longer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session
from tests.unit.daemons.postfix.stage import Stage, address

from mailu.directory.changes import SYSTEM, allow_tls_exception
from mailu.directory.models import TlsException, today

pytestmark = pytest.mark.daemons


def an_exception(session: Session) -> None:
    """For a host, as the next hop names it."""
    allow_tls_exception(session, address(40), comment="their TLS is broken", level="may", actor=SYSTEM)


def its_end(session: Session) -> None:
    """As if its last day had been yesterday."""
    session.execute(update(TlsException).values(last_day=today() - timedelta(days=1)))


def send(stage: Stage, word: str) -> None:
    with stage.logged_in() as client:
        body = f"Subject: {word}\r\n\r\nx\r\n".encode()
        assert client.mail("ann@example.com", f"{word}@remote.example", body=body).startswith("250")


def waits(stage: Stage, word: str) -> bool:
    """Whether Postfix has said that it would not send without encryption."""
    lines = [line for line in stage.words().splitlines() if f"to=<{word}@remote.example>" in line]
    return any("status=deferred" in line and "TLS is required, but was not offered" in line for line in lines)


def level(stage: Stage) -> str:
    """What the directory answers about the destination."""
    next_hop = stage.overrides["transport.map"].splitlines()[0].partition(":")[2]
    return stage.run("postmap", "-q", next_hop, f"socketmap:unix:{stage.places.socketmap}:tls-policy").strip()


def test_mail_waits_goes_with_an_exception_and_waits_again_when_it_is_over() -> None:
    with Stage(bind_address4=address(20), outbound_tls_level="encrypt") as stage:
        send(stage, "before")
        stage.until(lambda: waits(stage, "before"), "a message that waits")
        stage.change(an_exception)
        stage.until(lambda: level(stage) == "may", "the exception")
        stage.run("postqueue", "-f")
        stage.remote.wait("before@remote.example")
        assert "may is enough until" in (stage.root / "directory.log").read_text()
        stage.change(its_end)
        stage.until(lambda: level(stage) == "", "the end of the exception")
        send(stage, "after")
        stage.until(lambda: waits(stage, "after"), "another message that waits")
        assert not stage.remote.has("after")
