"""What `pip install` would install: the whole program, with templates and translations, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a wheel is made of, built from a copy of the checkout."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("package")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, folder)
    shutil.copytree(CHECKOUT / "src", folder / "src", ignore=IGNORED)
    command = [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q", "build", "--build-lib", "built"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder / "built"


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_every_file_of_the_program_is_installed(installed: Path) -> None:
    wanted = {name for name in files(CHECKOUT / "src" / "mailu") if "__pycache__" not in name}
    assert len([name for name in wanted if not name.endswith(".py")]) > 100
    assert files(installed / "mailu") == wanted


def test_what_is_installed_runs_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "mailu.env").write_text("SECRET_KEY=0123456789abcdef\nDOMAIN=a.test\nHOSTNAMES=mail.a.test\n")
    (tmp_path / "data").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    for arguments in (["db", "upgrade"], ["user", "ann", "a.test", "long enough"], ["config-export", "user.email"]):
        command = [sys.executable, "-m", "mailu.cli", "--root", str(tmp_path), *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, (arguments, done.stderr)
    assert "email: ann@a.test" in done.stdout
