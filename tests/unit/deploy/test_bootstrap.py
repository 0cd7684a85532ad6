"""The first steps on a bare machine, as far as they can be taken without one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailu.deploy import bootstrap

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def source() -> Iterator[Path]:
    """A source that everybody can read: pytest's own folders are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        yield make_source(Path(name))


def make_source(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout" / "src"
    (folder / "mailu" / "__pycache__").mkdir(parents=True)
    (folder / "mailu" / "__init__.py").write_text("one = 1\n")
    (folder / "mailu" / "__pycache__" / "x.pyc").write_text("compiled")
    (folder / "mailu" / "main.cf").write_text("template\n")
    for path in (tmp_path, tmp_path / "checkout", folder):
        path.chmod(0o755)
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def test_another_lock_or_python_is_another_environment() -> None:
    names = {bootstrap.environment_name(lock, version) for lock in (b"a==1", b"a==2") for version in ("3.11", "3.13")}
    assert len(names) == 4
    assert all(name.startswith("venv-") for name in names)


def test_a_source_that_everybody_can_read_is_used_where_it_is(source: Path, state: Path) -> None:
    assert bootstrap.readable_source(str(source), str(state)) == str(source)
    assert list(state.iterdir()) == []


def test_a_source_below_a_closed_folder_is_copied_once(source: Path, state: Path) -> None:
    source.parent.chmod(0o700)
    copy = Path(bootstrap.readable_source(str(source), str(state)))
    assert copy.parent == state
    assert sorted(path.name for path in copy.rglob("*") if path.is_file()) == ["__init__.py", "main.cf"]
    assert all(path.stat().st_mode & 0o004 for path in copy.rglob("*"))
    before = copy.stat().st_mtime_ns
    assert bootstrap.readable_source(str(source), str(state)) == str(copy)
    assert copy.stat().st_mtime_ns == before


def test_a_changed_source_is_another_copy_and_old_ones_go(source: Path, state: Path) -> None:
    source.parent.chmod(0o700)
    copies = []
    for number in range(6):
        (source / "mailu" / "__init__.py").write_text(f"number = {number}\n" * (number + 1))
        copies.append(Path(bootstrap.readable_source(str(source), str(state))))
        os.utime(copies[-1], (number, number))
    assert len(set(copies)) == 6
    assert (copies[-1] / "mailu" / "__init__.py").read_text().startswith("number = 5")
    assert copies[-1].exists()
    assert len(list(state.iterdir())) <= 4


def test_an_environment_that_is_complete_is_not_made_again(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("a==1 \\\n  --hash=sha256:0\nb==2\n")
    made: list[tuple[str, int]] = []

    def make(folder: str, lock_file: str, count: int) -> None:
        made.append((folder, count))
        Path(folder).mkdir()
        (Path(folder) / ".complete").touch()

    monkeypatch.setattr(bootstrap, "make_environment", make)
    first = bootstrap.ensure_environment(str(lock), str(state))
    assert bootstrap.ensure_environment(str(lock), str(state)) == first
    assert [count for _, count in made] == [2]
    assert first.startswith(str(state))


def test_an_environment_that_was_interrupted_is_made_anew(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = state / "venv-1"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "half").touch()
    monkeypatch.setattr(bootstrap, "run", lambda command: (0, ""))
    monkeypatch.setattr(bootstrap, "install_libraries", lambda *_: folder.mkdir())
    bootstrap.make_environment(str(folder), "lock", 1)
    assert [path.name for path in folder.iterdir()] == [".complete"]


def test_a_failed_installation_ends_with_pips_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pip = tmp_path / "python"
    pip.write_text("#!/bin/sh\necho 'Collecting a'\necho 'ERROR: no matching distribution'\nexit 1\n")
    pip.chmod(0o755)
    with pytest.raises(SystemExit):
        bootstrap.install_libraries(str(pip), "lock", 1)
    assert "no matching distribution" in capsys.readouterr().err


def test_only_root_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit):
        bootstrap.main("/nowhere", [])
    assert "as root" in capsys.readouterr().err


def test_it_needs_nothing_but_the_standard_library() -> None:
    script = f"import runpy, sys; sys.argv = ['x']; runpy.run_path({str(CHECKOUT / 'src/mailu/deploy/bootstrap.py')!r})"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
