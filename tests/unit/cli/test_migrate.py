"""The command line of the take-over: where to, what it says, how it ends."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.migrate import sources
from typer.testing import CliRunner, Result

from mailu.cli import build_app
from mailu.settings import load_settings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files get owners of their own")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mc-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(autouse=True)
def nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailu.deploy.installer.install", lambda *_, **__: [])
    monkeypatch.delenv("ROOT", raising=False)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build_app(), [str(argument) for argument in arguments])


def test_a_run_ends_with_0_and_says_what_to_do_next(folder: Path) -> None:
    old = sources.unpack("master", folder)
    done = run("--root", folder / "new", "migrate", "--from", old)
    assert done.exit_code == 0, done.output
    assert "mailu up" in done.stdout
    assert load_settings(folder / "new/mailu.env", {}).root == folder / "new"
    again = run("--root", folder / "new", "migrate", "--from", old)
    assert again.exit_code == 0
    assert "nothing was changed" in again.stdout


def test_a_dry_run_says_that_it_was_one(folder: Path) -> None:
    old = sources.unpack("master", folder)
    done = run("--root", folder / "new", "migrate", "--from", old, "--dry-run")
    assert done.exit_code == 0
    assert "Nothing was changed" in done.stdout
    assert not (folder / "new").exists()


def test_programs_get_json(folder: Path) -> None:
    old = sources.unpack("master", folder)
    done = run("--root", folder / "new", "migrate", "--from", old, "--json", "--dry-run")
    answer = json.loads(done.stdout)
    assert answer["outcome"] == "possible"
    assert "directory" in answer["changes"]
    assert {"area", "name", "outcome", "text", "count"} == answer["items"][0].keys()
    assert "FIXTURE0FIXTURE0" not in done.output


def test_what_is_refused_ends_with_1(folder: Path) -> None:
    old = sources.unpack("master", folder)
    (old / "data/main.db").write_bytes(b"nothing")
    done = run("--root", folder / "new", "migrate", "--from", old)
    assert done.exit_code == 1
    assert "refused" in done.stdout
    assert not (folder / "new").exists()


def test_no_source_is_one_sentence(folder: Path) -> None:
    done = run("--root", folder / "new", "migrate", "--from", folder / "nowhere")
    assert done.exit_code == 1
    assert "nowhere is not there" in str(done.exception) + done.output


def test_the_place_of_a_settings_file_that_is_there_holds(folder: Path) -> None:
    old = sources.unpack("master", folder)
    env = folder / "place.env"
    env.write_text(f"ROOT={folder}/elsewhere\nBIND_ADDRESS4=127.0.21.9\nPORTS=25,993\n")
    assert run("--env", env, "migrate", "--from", old).exit_code == 0
    settings = load_settings(env, {})
    assert (str(settings.root), settings.bind_address4) == (f"{folder}/elsewhere", "127.0.21.9")
    assert settings.ports == frozenset({25, 993})
    assert settings.secret_key == "FIXTURE0FIXTURE0"
    assert (folder / "elsewhere/data/main.db").exists()
