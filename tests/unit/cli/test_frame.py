"""What all commands share: help, settings, errors, the old program's name, root's rights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.conftest import ENV, Run
from typer.testing import CliRunner

from mailu.cli import build_app
from mailu.cli.flask_shim import main as flask
from mailu.cli.flask_shim import translate
from mailu.cli.output import printable, readable_size
from mailu.cli.privileges import become_owner_of

NOBODY = 65534


@pytest.mark.parametrize("option", ["-?", "-h", "--help"])
@pytest.mark.parametrize("command", [(), ("user",), ("user", "list"), ("queue",), ("db",), ("limits", "clear")])
def test_every_help_option_works_everywhere(command: tuple[str, ...], option: str) -> None:
    result = CliRunner().invoke(build_app(), [*command, option])
    assert result.exit_code == 0
    assert "Usage: " in result.stdout


def test_an_unknown_command_ends_with_2_and_names_it() -> None:
    result = CliRunner().invoke(build_app(), ["usr"])
    assert result.exit_code == 2
    assert "No such command 'usr'" in result.stderr


def test_help_does_not_load_the_database_or_the_web() -> None:
    program = (
        "import sys; sys.argv = ['mailu', '--help']\n"
        "import mailu.cli, contextlib\n"
        "with contextlib.suppress(SystemExit): mailu.cli.main()\n"
        "heavy = ('sqlalchemy', 'rich.table', 'fastapi', 'redis', 'cryptography')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_settings_that_are_nowhere_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOMAIN", raising=False)
    result = CliRunner().invoke(build_app(), ["--root", str(tmp_path), "user", "list"])
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {tmp_path}/mailu.env is not there; name the settings file with --env, or its folder with --root\n"
    )


def test_settings_that_are_wrong_are_listed(tmp_path: Path) -> None:
    file = tmp_path / "other.env"
    file.write_text(ENV + "PORTS=1\nTZ=Mars\n")
    result = CliRunner().invoke(build_app(), ["--env", str(file), "user", "list"])
    assert result.exit_code == 1
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["Error", "Error"]
    assert "other.env line 4: PORTS=1" in result.stderr


def test_a_database_without_tables_is_explained(root: Path) -> None:
    result = CliRunner().invoke(build_app(), ["--root", str(root), "explain", "a@example.com"])
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: the database has no tables yet, or those of an earlier version; start the services anew, or run "
        "`mailu db upgrade`\n",
    )


def test_a_missing_folder_of_the_database_is_explained(root: Path) -> None:
    (root / "data").rmdir()
    result = CliRunner().invoke(build_app(), ["--root", str(root), "user", "list"])
    assert result.exit_code == 1
    assert f"{root}/data is not there" in result.stderr


def test_a_database_that_does_not_answer_is_explained_without_its_password(root: Path) -> None:
    with (root / "mailu.env").open("a") as file:
        file.write("SQLALCHEMY_DATABASE_URI=postgresql://ann:hush@127.0.11.9:1/mail\n")
    result = CliRunner().invoke(build_app(), ["--root", str(root), "user", "list"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the database does not answer: ")
    assert "hush" not in result.output


def test_an_unknown_failure_is_shown_as_the_defect_it_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("mailu.cli.surroundings.Surroundings.snapshot", broken)
    result = CliRunner().invoke(build_app(), ["--root", str(root), "explain", "a@example.com"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_scripts_that_advertise_are_not_broken(run: Run) -> None:
    assert run("advertise").exit_code == 0


# flask


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["mailu", "user", "ann", "example.com", "x"], ["user", "ann", "example.com", "x"]),
        (["mailu", "--help"], ["--help"]),
        (["db", "upgrade"], ["db", "upgrade"]),
        (["run"], None),
        ([], None),
    ],
)
def test_what_flask_was_told_is_understood(given: list[str], meant: list[str] | None) -> None:
    assert translate(given) == meant


def test_flask_runs_the_command(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROOT", str(root))
    monkeypatch.setattr(sys, "argv", ["flask", "db", "upgrade"])
    with pytest.raises(SystemExit) as ended:
        flask()
    assert not ended.value.code
    assert capsys.readouterr().out.startswith("The schema is at revision ")


def test_flask_refuses_what_it_never_did_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["flask", "shell"])
    with pytest.raises(SystemExit) as ended:
        flask()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("Error: flask: shell is not understood")


# Output


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (50_000_000, "50.0 MB"), (3 * 10**12, "3.0 TB")]
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert readable_size(size) == text


def test_control_characters_are_not_printed() -> None:
    assert printable("a\x1b[0m\nb\u202ec") == "a\ufffd[0m\ufffdb\ufffdc"


# Rights


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="mailu-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_rights_stay_when_they_are_not_root_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "setuid", lambda _uid: pytest.fail("rights were changed"))
    become_owner_of(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_becomes_the_owner_of_the_database_and_leaves_no_file_of_root_s(open_folder: Path) -> None:
    data = open_folder / "data"
    data.mkdir(mode=0o700)
    os.chown(data, NOBODY, NOBODY)
    (open_folder / "mailu.env").write_text(ENV)
    (open_folder / "mailu.env").chmod(0o600)
    command = [sys.executable, "-c", "import mailu.cli; mailu.cli.main()", "--root", str(open_folder)]
    for arguments in (["db", "upgrade"], ["user", "ann", "example.com", "correct horse"], ["user", "list"]):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    assert {path.stat().st_uid for path in data.iterdir()} == {NOBODY}
