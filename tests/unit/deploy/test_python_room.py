"""What our own processes are started with."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.room_harness import make_request

from mailu.daemons.room import Folder
from mailu.deploy.python_room import PythonRoom, python_environment
from mailu.deploy.services import ADMIN, CERTIFICATES, DIRECTORY


def test_a_service_keeps_compiled_modules_apart_from_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "/var/lib/mailu/pycache")
    request = make_request()
    assert DIRECTORY.environment(request)["PYTHONPYCACHEPREFIX"] == "/var/lib/mailu/pycache-mailu"
    assert Folder(Path("/var/lib/mailu/pycache-mailu"), "mailu", "mailu", 0o700) in DIRECTORY.folders(request)
    assert python_environment()["PYTHONPYCACHEPREFIX"] == "/var/lib/mailu/pycache"


def test_modules_compiled_beside_the_source_stay_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    request = make_request()
    assert "PYTHONPYCACHEPREFIX" not in DIRECTORY.environment(request)
    assert "PYTHONOPTIMIZE" not in DIRECTORY.environment(request), "nobody keeps what is compiled without docstrings"
    assert not [folder for folder in DIRECTORY.folders(request) if "pycache" in str(folder.path)]


@pytest.mark.parametrize(
    ("room", "variables", "level"),
    [
        (DIRECTORY, {}, "2"),
        (ADMIN, {}, "2"),
        (ADMIN, {"API": "true", "API_TOKEN": "a-token-of-the-tests"}, None),
        (CERTIFICATES, {}, None),
    ],
)
def test_docstrings_are_kept_where_somebody_reads_them(
    monkeypatch: pytest.MonkeyPatch, room: PythonRoom, variables: dict[str, str], level: str | None
) -> None:
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "/var/lib/mailu/pycache")
    assert room.environment(make_request(variables)).get("PYTHONOPTIMIZE") == level
