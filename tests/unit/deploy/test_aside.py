"""A question that needs a large library is answered by another program, as if it had been answered here."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.pki import TestAuthority
from tests.room_harness import make_settings
from tests.unit.deploy.fake_room import situation

from mailu.deploy import aside
from mailu.deploy.ground import certificates_in_force
from mailu.deploy.signing import signed_profile
from mailu.identity.certificates import CertificateError, read_chain
from mailu.identity.expiry import endings
from mailu.identity.pairs import Content, Pair
from mailu.places import Places


def test_the_answer_is_that_of_the_function(tmp_path: Path) -> None:
    settings, places = make_settings(tmp_path), Places(tmp_path)
    found = aside.ask(certificates_in_force, places, settings)
    assert found == certificates_in_force(places, settings)
    assert [name for name, _, _ in found.certificates] == ["mail.example.org", "mx.example.org"]


def test_all_that_the_agent_asks_can_be_asked(tmp_path: Path) -> None:
    TestAuthority.make().issue(tmp_path, "mail.example.org", days=90)
    pair = Pair(tmp_path / "fullchain.pem", tmp_path / "privkey.pem")
    contents = {pair: Content(pair.chain.read_bytes(), pair.key.read_bytes())}
    served = [("mail.example.org", pair.chain, pair.key)]
    (ending,) = aside.ask(endings, served, contents, datetime.now(UTC) + timedelta(days=89.5))
    assert (ending.name, ending.days) == ("mail.example.org", 1)
    assert aside.ask(signed_profile, situation(tmp_path), "ann@example.org") == b"", "there is no certificate"


def test_it_is_another_process() -> None:
    assert aside.ask(os.getpid) != os.getpid()


def test_what_the_function_raises_is_raised_here(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="cannot be read"):
        aside.ask(read_chain, tmp_path / "none.pem")


def test_a_program_that_fails_is_told_of_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(aside.NotFoundOut, match="exit: exit code 3"):
        aside.ask(sys.exit, 3)
    monkeypatch.setattr(aside, "SECONDS", 0.1)
    with pytest.raises(aside.NotFoundOut, match="no answer"):
        aside.ask(time.sleep, 60)
