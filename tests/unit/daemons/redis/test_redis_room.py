"""The room of Redis."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import redis
from tests.room_harness import compare_with_golden, make_request, root_folder, running

from mailu.daemons.redis import ROOM, newest_dump_format, password, put_aside_newer_dump


@pytest.mark.parametrize(
    ("variant", "variables"),
    [("default", {}), ("small", {"SMALL_HOST": "true"}), ("network", {"REDIS_ADDRESS": "redis"})],
)
def test_the_configuration_is_the_golden_one(variant: str, variables: dict[str, str]) -> None:
    compare_with_golden(f"redis/{variant}", ROOM.render(make_request(variables, service="redis")))


def test_the_operators_lines_come_last() -> None:
    request = make_request(overrides={"b.conf": "maxclients 10\n", "a.conf": "maxclients 20", "notes.txt": "hello"})
    text = ROOM.render(request)["redis.conf"].text
    assert text.endswith("# overrides/redis/a.conf\nmaxclients 20\n\n# overrides/redis/b.conf\nmaxclients 10\n")
    assert "hello" not in text


def test_the_file_with_the_password_is_closed_to_others() -> None:
    file = ROOM.render(make_request())["redis.conf"]
    assert (file.mode, file.owner, file.group) == (0o640, "root", "redis")


@pytest.mark.daemons
def test_redis_keeps_what_it_was_told_over_a_normal_stop() -> None:
    with root_folder("rs") as root:
        request = make_request(root=root, service="redis")
        with running(ROOM, request):
            client = redis.Redis(unix_socket_path=str(request.places.redis_socket), password=password(request.settings))
            client.set("key", "value")
            client.close()
        with running(ROOM, request):
            client = redis.Redis(unix_socket_path=str(request.places.redis_socket), password=password(request.settings))
            assert client.get("key") == b"value"
            assert client.config_get("maxmemory") == {"maxmemory": str(256 * 2**20)}
            client.close()


@pytest.mark.daemons
def test_nobody_gets_in_without_the_password() -> None:
    with root_folder("rs") as root:
        request = make_request(root=root, service="redis")
        with running(ROOM, request):
            client = redis.Redis(unix_socket_path=str(request.places.redis_socket))
            with pytest.raises(redis.AuthenticationError):
                client.ping()
            client.close()
            assert stat.S_IMODE(request.places.redis_socket.stat().st_mode) == 0o777


def test_not_ready_is_said_in_words(tmp_path: Path) -> None:
    reason = ROOM.ready(make_request(root=tmp_path))
    assert reason == f"Redis does not answer on {tmp_path}/run/redis/redis: No such file or directory"


@pytest.mark.parametrize(("version", "newest"), [((6, 0), 9), ((7, 0), 10), ((7, 2), 11), ((7, 4), 12), ((8, 0), 12)])
def test_each_version_has_its_newest_dump_format(version: tuple[int, int], newest: int) -> None:
    assert newest_dump_format(version) == newest


def test_a_dump_of_a_newer_redis_is_put_aside(tmp_path: Path) -> None:
    dump = tmp_path / "dump.rdb"
    dump.write_bytes(b"REDIS0012\xfa\tredis-ver")
    note = put_aside_newer_dump(dump, 10)
    assert note is not None
    assert "format 12, this one reads 10" in note
    assert [path.name for path in tmp_path.iterdir()] == ["dump.rdb.format-12"]


@pytest.mark.parametrize("content", [b"REDIS0010\xfa", b"REDIS0009", b"", b"something else"])
def test_other_dumps_stay(tmp_path: Path, content: bytes) -> None:
    dump = tmp_path / "dump.rdb"
    dump.write_bytes(content)
    assert put_aside_newer_dump(dump, 10) is None
    assert dump.exists()


def test_no_dump_is_no_trouble(tmp_path: Path) -> None:
    assert put_aside_newer_dump(tmp_path / "dump.rdb", 10) is None
