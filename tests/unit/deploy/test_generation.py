"""Generated folders: written whole, swapped in one step, with the modes they were given."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mailu.daemons.room import ConfigFile, Folder
from mailu.deploy.generation import Generations, make_folder

FILES = {"main.cf": ConfigFile("text\n"), "maps/secret": ConfigFile("key\n", mode=0o600)}


@pytest.fixture
def generations(tmp_path: Path) -> Generations:
    return Generations(tmp_path / "smtp")


def test_nothing_is_in_force_at_first(generations: Generations) -> None:
    assert generations.current() is None
    assert generations.next().name == "etc.1"


def test_a_generation_is_written_with_its_modes(generations: Generations) -> None:
    etc = generations.next()
    generations.write(etc, FILES)
    assert (etc / "main.cf").read_text() == "text\n"
    assert stat.S_IMODE((etc / "main.cf").stat().st_mode) == 0o644
    assert stat.S_IMODE((etc / "maps/secret").stat().st_mode) == 0o600
    assert generations.holds(etc, FILES)


@pytest.mark.parametrize("content", [b"changed", b"\xff", None])
def test_a_file_that_is_not_as_rendered_is_noticed(generations: Generations, content: bytes | None) -> None:
    etc = generations.next()
    generations.write(etc, FILES)
    (etc / "main.cf").unlink()
    if content is not None:
        (etc / "main.cf").write_bytes(content)
    assert not generations.holds(etc, FILES)


def test_files_that_the_daemons_tools_made_do_not_count(generations: Generations) -> None:
    etc = generations.next()
    generations.write(etc, FILES)
    (etc / "main.cf.lmdb").write_bytes(b"made by postmap")
    assert generations.holds(etc, FILES)


def test_swapping_changes_the_link_only(generations: Generations) -> None:
    for word in ("one", "two"):
        etc = generations.next()
        generations.write(etc, {"main.cf": ConfigFile(word)})
        generations.swap(etc)
    assert generations.current() == generations.folder / "etc.2"
    assert (generations.link / "main.cf").read_text() == "two"
    assert (generations.folder / "etc.1/main.cf").read_text() == "one"
    assert generations.next().name == "etc.3"


def test_what_an_interrupted_start_left_is_overwritten(generations: Generations) -> None:
    etc = generations.folder / "etc.1"
    etc.mkdir(parents=True)
    (etc / "half").write_text("half")
    (generations.folder / ".etc.new").symlink_to("nowhere")
    generations.write(etc, FILES)
    generations.swap(etc)
    assert not (etc / "half").exists()
    assert generations.current() == etc


def test_a_link_to_a_folder_that_is_gone_is_no_configuration(generations: Generations) -> None:
    etc = generations.next()
    generations.write(etc, FILES)
    generations.swap(etc)
    generations.drop(etc)
    assert generations.current() is None


def test_old_generations_go_and_those_in_use_stay(generations: Generations) -> None:
    made = []
    for _ in range(5):
        made.append(generations.next())
        generations.write(made[-1], FILES)
    generations.swap(made[4])
    (generations.folder / "etc.backup").mkdir()
    generations.collect(keep={made[3]})
    assert sorted(path.name for path in generations.folder.iterdir()) == ["etc", "etc.4", "etc.5", "etc.backup"]


def test_a_folder_is_made_once_and_its_mode_is_always_right(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "a" / "b", mode=0o2750)
    assert make_folder(folder)
    folder.path.chmod(0o777)
    assert not make_folder(folder)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o2750


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_that_came_as_roots_become_their_folders_but_nothing_behind_a_link_does(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "keys"
    outside.write_text("root's")
    inside.mkdir()
    for name in ("a.key", "b.other"):
        (inside / name).write_text("a key")
    (inside / "symbolic.key").symlink_to(outside)
    (inside / "hard.key").hardlink_to(outside)
    make_folder(Folder(inside, "nobody", "nogroup", adopts="*.key"))
    assert {path.name for path in inside.iterdir() if path.owner() == "nobody"} == {"a.key"}
    assert outside.owner() == "root"
