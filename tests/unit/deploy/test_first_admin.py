"""The first administrator is made once; a failure does not keep the directory from starting."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.deploy.fake_room import HOST, situation

from mailu.daemons.room import RenderRequest
from mailu.deploy import first_admin
from mailu.deploy.first_admin import FirstAdmin, Outcome

ASKED = {"INITIAL_ADMIN_ACCOUNT": "admin", "INITIAL_ADMIN_DOMAIN": "example.com", "INITIAL_ADMIN_PW": "secret"}


class Runs:
    def __init__(self, *outcomes: Outcome) -> None:
        self.count = 0
        self._outcomes = list(outcomes)

    def __call__(self, request: RenderRequest) -> Outcome:
        self.count += 1
        database = request.places.data / "main.db"
        database.parent.mkdir(exist_ok=True)
        database.touch()
        return self._outcomes.pop(0) if self._outcomes else Outcome(done=True)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    made = Runs()
    monkeypatch.setattr(first_admin, "_run", made)
    return made


def request(root: Path, **more: str) -> RenderRequest:
    made = situation(root, **{**ASKED, **more})
    made.places.service("directory").mkdir(parents=True, exist_ok=True)
    return RenderRequest(settings=made.settings, places=made.places, host=HOST, etc=root)


def test_it_is_made_once(tmp_path: Path, runs: Runs) -> None:
    for _ in range(3):
        FirstAdmin().ensure(request(tmp_path))
    assert runs.count == 1


def test_nothing_is_started_when_none_is_asked_for(tmp_path: Path, runs: Runs) -> None:
    FirstAdmin().ensure(request(tmp_path, INITIAL_ADMIN_PW=""))
    assert runs.count == 0


def test_another_password_or_database_is_a_new_question(tmp_path: Path, runs: Runs) -> None:
    FirstAdmin().ensure(request(tmp_path))
    FirstAdmin().ensure(request(tmp_path, INITIAL_ADMIN_PW="other"))
    assert runs.count == 2
    (tmp_path / "data" / "main.db").rename(tmp_path / "data" / "old.db")
    FirstAdmin().ensure(request(tmp_path, INITIAL_ADMIN_PW="other"))
    assert runs.count == 3


def test_mode_update_sets_the_password_at_every_start(tmp_path: Path, runs: Runs) -> None:
    for _ in range(2):
        FirstAdmin().ensure(request(tmp_path, INITIAL_ADMIN_MODE="update"))
    assert runs.count == 2


def test_a_failure_is_told_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    down = Outcome(done=False, words="connection refused")
    runs = Runs(down, down, Outcome(done=True))
    monkeypatch.setattr(first_admin, "_run", runs)
    admin = FirstAdmin()
    admin.ensure(request(tmp_path))
    assert not admin.done
    admin.try_again()
    assert [record.message for record in caplog.records] == [
        "the first administrator cannot be made: connection refused"
    ]
    admin.try_again()
    assert admin.done
    admin.try_again()
    assert runs.count == 3


def test_the_program_that_makes_it_speaks_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_admin, "MODULE", "mailu.no_such_module")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    outcome = first_admin._run(request(tmp_path))
    assert not outcome.done
    assert "mailu.no_such_module" in outcome.words
