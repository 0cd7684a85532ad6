"""The agent: starts, watches, restarts, reloads and stops a daemon, and never puts a bad configuration in force."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.deploy.fake_room import FakeRoom, Running, run, situation, until, with_words

from mailu.deploy import agent as agent_module
from mailu.deploy.leftovers import all_processes, process_facts, recorded
from mailu.deploy.situation import Situation
from mailu.identity.pairs import Content, Pair


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("r")


def alive(pid: int | None) -> bool:
    return pid is not None and process_facts(pid) is not None


def test_a_daemon_is_started_and_said_to_be_ready_when_it_answers(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root) as running:
            await running.ready()
            status = running.agent.status
            assert (status.state, status.ready) == ("ready", True)
            assert alive(status.pid)
            assert [record.pid for record in recorded(running.places.run / "pids")] == [status.pid]
            assert "started as one" in running.log_text()

    run(scenario())


def test_a_daemon_is_not_ready_before_it_answers(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root, "mute") as running:
            await until(lambda: "started" in running.log_text() if running.journal.path.exists() else False)
            await until(lambda: running.agent.status.reason)
            assert (running.agent.status.state, running.agent.status.ready) == ("starting", False)
            assert "No such file" in running.agent.status.reason

    run(scenario())


def test_a_daemon_that_dies_comes_back(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root) as running:
            await running.ready()
            first = running.agent.status.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await until(lambda: running.agent.status.ready and running.agent.status.pid != first)
            assert running.agent.status.restarts == 1

    run(scenario())


def test_the_end_of_a_daemon_is_told_with_its_last_words(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Running(root, "crash") as running:
            await until(lambda: running.agent.status.restarts >= 1)
            assert running.agent.status.state == "failed"
            assert "ended with exit code 3" in running.agent.status.reason
            assert "the disk is on fire" in running.agent.status.reason

    run(scenario())
    assert any("the disk is on fire" in record.message for record in caplog.records)


def test_a_daemon_that_keeps_dying_is_started_ever_more_slowly(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(agent_module, "LONGEST_PAUSE_SECONDS", 0.05)

    async def scenario() -> None:
        async with Running(root, "crash") as running:
            pauses: list[float] = []
            real = running.agent._pause

            def noted() -> float:
                pauses.append(real())
                return pauses[-1]

            monkeypatch.setattr(running.agent, "_pause", noted)
            await until(lambda: len(pauses) >= 5)
            assert pauses[:5] == [0.01, 0.02, 0.04, 0.05, 0.05]
            assert running.agent.gave_up.is_set()

    run(scenario())


def test_stopping_ends_a_daemon_that_ignores_term_and_its_children(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root, "slow child banner=x") as running:
            await running.ready()
            pid = running.agent.status.pid
            assert len([facts for facts in all_processes() if facts.group == pid]) == 2
        assert [facts for facts in all_processes() if facts.group == pid] == []
        assert recorded(running.places.run / "pids") == []
        assert running.agent.status.state == "stopped"

    run(scenario())


def test_children_of_a_daemon_that_died_are_ended_before_it_starts_again(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root, "child banner=x") as running:
            await running.ready()
            first = running.agent.status.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await until(lambda: running.agent.status.ready and running.agent.status.pid != first, seconds=10)
            assert [facts for facts in all_processes() if facts.group == first] == []

    run(scenario())


def test_a_daemon_that_hangs_is_ended_and_started_again(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Running(root, hung_seconds=0.2) as running:
            await running.ready()
            first = running.agent.status.pid
            assert first is not None
            os.kill(first, signal.SIGSTOP)
            await until(lambda: not running.agent.status.ready)
            assert running.agent.status.reason.startswith("does not answer: ")
            await until(lambda: running.agent.status.ready and running.agent.status.pid != first, seconds=10)
            assert not alive(first)

    run(scenario())
    assert any("fake has not answered for" in record.message for record in caplog.records)


class TidyRoom(FakeRoom):
    """Notes whom it was to tidy up, and fails at it."""

    def __init__(self) -> None:
        super().__init__()
        self.tidied: list[int] = []

    def tidy(self, daemon: int) -> None:
        self.tidied.append(daemon)
        raise OSError("a mess")


def test_a_daemon_that_answers_is_tidied_up_and_goes_on_if_that_fails(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        room = TidyRoom()
        async with Running(root, room=room, hung_seconds=0.4) as running:
            await running.ready()
            pid = running.agent.status.pid
            await until(lambda: len(room.tidied) >= 2)
            assert set(room.tidied) == {pid}
            assert (running.agent.status.ready, running.agent.status.pid) == (True, pid)

    run(scenario())
    assert any("fake: tidying up failed" in record.message for record in caplog.records)


def test_a_daemon_that_was_slow_for_a_moment_goes_on(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Running(root, hung_seconds=3.0) as running:
            await running.ready()
            pid = running.agent.status.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            await until(lambda: not running.agent.status.ready)
            os.kill(pid, signal.SIGCONT)
            await until(lambda: running.agent.status.ready)
            assert running.agent.status.pid == pid

    caplog.set_level("INFO")
    run(scenario())
    assert any("fake answers again" in record.message for record in caplog.records)


def test_a_change_that_comes_while_the_daemon_starts_does_not_end_it(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root, "banner=one late") as running:
            await until(lambda: running.agent.status.pid)
            pid = running.agent.status.pid
            change = await running.agent.apply(with_words(running.situation, "banner=two late"))
            assert (change.outcome, running.agent.status.pid) == ("reloaded", pid)
            assert running.room.banner(running.places) == "two"

    run(scenario())


def test_a_changed_setting_reloads_the_same_process(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root) as running:
            await running.ready()
            pid = running.agent.status.pid
            change = await running.agent.apply(with_words(running.situation, "banner=two"))
            assert change.outcome == "reloaded"
            assert running.agent.status.pid == pid
            assert running.room.banner(running.places) == "two"

    run(scenario())


def test_nothing_happens_when_the_text_would_be_the_same(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root) as running:
            await running.ready()
            settings = replace(running.situation.settings, message_size_limit=123456)
            change = await running.agent.apply(replace(running.situation, settings=settings))
            assert change.outcome == "unchanged"
            assert len(running.room.checks) == 1
            assert "reloaded" not in running.log_text()

    run(scenario())


def test_a_daemon_that_cannot_reload_is_restarted(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root, room=FakeRoom(reload="restart")) as running:
            await running.ready()
            pid = running.agent.status.pid
            change = await running.agent.apply(with_words(running.situation, "banner=two"))
            assert change.outcome == "restarted"
            assert running.agent.status.pid != pid
            assert not alive(pid)
            assert running.room.banner(running.places) == "two"
            assert running.agent.status.restarts == 0

    run(scenario())


def test_another_environment_needs_a_restart(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root) as running:
            await running.ready()
            settings = replace(running.situation.settings, website="https://example.org", sitename="banner=two")
            change = await running.agent.apply(replace(running.situation, settings=settings))
            assert change.outcome == "restarted"

    run(scenario())


def test_a_configuration_that_the_checker_refuses_is_not_used(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root) as running:
            await running.ready()
            pid = running.agent.status.pid
            change = await running.agent.apply(with_words(running.situation, "bad banner=two"))
            assert change.outcome == "rejected"
            assert change.reasons == ("fake.conf: line 1: bad is not a word",)
            status = running.agent.status
            assert (status.state, status.ready, status.pid) == ("degraded", True, pid)
            assert status.problems == ["fake.conf: line 1: bad is not a word"]
            assert running.room.banner(running.places) == "one"
            good = await running.agent.apply(with_words(running.situation, "banner=three"))
            assert good.outcome == "reloaded"
            assert (running.agent.status.state, running.agent.status.problems) == ("ready", [])

    run(scenario())


def test_going_back_to_the_settings_in_force_ends_the_complaint(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root) as running:
            await running.ready()
            await running.agent.apply(with_words(running.situation, "bad"))
            change = await running.agent.apply(running.situation)
            assert change.outcome == "unchanged"
            assert (running.agent.status.state, running.agent.status.problems) == ("ready", [])

    run(scenario())


@pytest.mark.parametrize("how", ["HUP", "restart"])
def test_a_configuration_that_the_daemon_dies_of_is_taken_back(root: Path, how: str) -> None:
    words = {"HUP": "crash-on-hup banner=two", "restart": "crash banner=two"}[how]

    async def scenario() -> None:
        async with Running(root, room=FakeRoom(reload=how)) as running:  # type: ignore[arg-type]
            await running.ready()
            change = await running.agent.apply(with_words(running.situation, words))
            assert change.outcome == "rejected"
            assert "ended with exit code" in change.reasons[0]
            assert {"HUP": "into a wall", "restart": "on fire"}[how] in change.reasons[0]
            await until(lambda: running.agent.status.ready)
            assert running.agent.status.state == "degraded"
            assert running.room.banner(running.places) == "one"

    run(scenario())


def with_pair(made: Situation, content: Content) -> Situation:
    """The situation with a certificate."""
    pair = Pair(made.places.certs / "one" / "fullchain.pem", made.places.certs / "one" / "privkey.pem")
    certificates = (("mail.example.com", pair.chain, pair.key),)
    return replace(made, certificates=certificates, contents={pair: content})


def test_a_changed_certificate_is_checked_and_reloaded_and_stands_in_the_configuration(root: Path) -> None:
    async def scenario() -> None:
        running = Running(root)
        made = running.situation
        running.agent._situation = with_pair(made, Content(b"first", b"its key"))
        async with running:
            await running.ready()
            etc = running.places.service("fake") / "etc"
            copy = etc / "tls" / "one_fullchain.pem"
            assert (copy / "cert.pem").read_text() == "first"
            assert not (copy / "key.pem").exists(), "this daemon's configuration names no key"
            change = await running.agent.apply(with_pair(made, Content(b"second", b"its key")))
            assert change.outcome == "reloaded"
            assert (copy / "cert.pem").read_text() == "second"
            assert f"{etc.resolve()}/tls/one_fullchain.pem/cert.pem" in (etc / "fake.conf").read_text()
            change = await running.agent.apply(with_pair(made, Content(b"second", b"its key")))
            assert change.outcome == "unchanged"
            bad = replace(with_words(made, "bad"), places=made.places)
            assert (await running.agent.apply(with_pair(bad, Content(b"third", b"")))).outcome == "rejected"
            assert (copy / "cert.pem").read_text() == "second", "what the daemon has goes with its configuration"

    run(scenario())


def test_an_override_that_cannot_be_used_is_refused_in_its_own_words(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root) as running:
            await running.ready()
            folder = running.places.overrides / "fake"
            folder.mkdir(parents=True)
            (folder / "broken").write_text("x")
            change = await running.agent.apply(running.situation)
            assert change.reasons == ("overrides/fake/broken: line 1 makes no sense",)
            assert running.agent.status.ready

    run(scenario())


def test_a_start_with_a_bad_configuration_uses_the_one_of_the_last_time(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root, "banner=good") as running:
            await running.ready()
        async with Running(root, "bad banner=worse") as running:
            await running.ready()
            assert running.room.banner(running.places) == "good"
            assert running.agent.status.state == "degraded"
            assert running.agent.status.problems == ["fake.conf: line 1: bad is not a word"]

    run(scenario())


def test_a_first_start_with_a_bad_configuration_fails_and_heals_when_it_is_mended(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root, "bad") as running:
            await asyncio.wait_for(running.agent.gave_up.wait(), 5)
            assert running.agent.status.state == "failed"
            assert running.agent.status.reason == "fake.conf: line 1: bad is not a word"
            change = await running.agent.apply(with_words(running.situation, "banner=mended"))
            assert change.outcome == "started"
            await running.ready()
            assert (running.agent.status.state, running.agent.status.problems) == ("ready", [])

    run(scenario())


def test_a_second_start_with_the_same_text_is_not_checked_again(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root) as running:
            await running.ready()
        async with Running(root) as again:
            await again.ready()
            assert again.room.checks == []
        (root / "run/fake/etc/fake.conf").write_text("touched by hand")
        async with Running(root) as third:
            await third.ready()
            assert len(third.room.checks) == 1

    run(scenario())


def test_only_the_last_two_generations_are_kept(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root) as running:
            await running.ready()
            for word in ("two", "three", "four"):
                await running.agent.apply(with_words(running.situation, f"banner={word}"))
            kept = sorted(path.name for path in (root / "run/fake").glob("etc.*"))
            assert kept == ["etc.3", "etc.4"]
            assert (root / "run/fake/etc").readlink() == Path("etc.4")

    run(scenario())


def test_a_program_that_is_not_there_is_named(root: Path) -> None:
    class Absent(FakeRoom):
        def command(self, request: object, etc: Path) -> list[str]:
            return ["/usr/sbin/absent-daemon"]

    async def scenario() -> None:
        async with Running(root, room=Absent()) as running:
            await asyncio.wait_for(running.agent.gave_up.wait(), 5)
            assert "/usr/sbin/absent-daemon is not there" in running.agent.status.reason

    run(scenario())


def test_notes_of_the_checker_are_shown(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root, "noted banner=x") as running:
            await running.ready()
            assert running.agent.status.notes == ["this is only a fake"]

    run(scenario())


def test_probing_tells_a_daemon_that_stopped_answering(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root) as running:
            await running.ready()
            (root / "run/fake/door").unlink()
            await running.agent.probe()
            assert (running.agent.status.state, running.agent.status.ready) == ("degraded", False)
            assert "does not answer" in running.agent.status.reason

    run(scenario())


def test_stopping_while_a_change_is_applied_leaves_nothing(root: Path) -> None:
    async def scenario() -> None:
        async with Running(root, room=FakeRoom(reload="restart")) as running:
            await running.ready()
            applying = asyncio.create_task(running.agent.apply(with_words(running.situation, "mute")))
            await until(lambda: running.agent.status.state == "starting")
        await asyncio.wait_for(applying, 5)
        assert recorded(running.places.run / "pids") == []
        assert not alive(running.agent.pid)

    run(scenario())


def test_situation_of_tests_is_of_this_root(root: Path) -> None:
    assert situation(root).places.run == root / "run"
