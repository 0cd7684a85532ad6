"""Web sessions begin, last and end when they must, in Redis and in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.unit.auth.conftest import PASSWORD, RedisServer
from tests.unit.auth.fakes import Clock, House, directory, user

from mailu.auth.login import Accepted, TryLater
from mailu.auth.sessions import SessionRules, Sessions, SessionsAway, SessionTooLarge
from mailu.auth.shelf import MemoryShelf, RedisShelf, Shelf, SteadyShelf
from mailu.auth.steady import Steady, redis_client
from mailu.directory.snapshot import UserEntry

ANN, BOB = user("ann@example.org", "hash"), user("bob@example.org", "hash")
Play = Callable[[Sessions], Awaitable[None]]


def rules(**changes: int) -> SessionRules:
    times = {"idle_seconds": 3600, "lifetime_seconds": 86400, "id_bits": 128} | changes
    return SessionRules(key=b"k" * 32, **times)


def knowing(*accounts: UserEntry) -> Callable[[str], UserEntry | None]:
    return {account.email: account for account in accounts}.get


async def _is_read_back(sessions: Sessions) -> None:
    made = await sessions.create(ANN, client_ip="192.0.2.1", user_agent="Firefox 'ü\udcff", data={"csrf": "x"})
    read = await sessions.load(made.id, knowing(ANN))
    assert read == made
    assert await sessions.load(made.id[:-1], knowing(ANN)) is None
    assert await sessions.load("", knowing(ANN)) is None
    assert await sessions.load("x" * 10_000, knowing(ANN)) is None
    assert await sessions.load(made.handle, knowing(ANN)) is None, "what lists show opens nothing"


async def _keeps_what_pages_store(sessions: Sessions) -> None:
    made = await sessions.create(ANN)
    made.data["language"] = "de"
    assert await sessions.save(made)
    read = await sessions.load(made.id, knowing(ANN))
    assert read
    assert read.data == {"language": "de"}
    made.data["too much"] = "x" * 20_000
    with pytest.raises(SessionTooLarge):
        await sessions.save(made)


async def _stays_ended(sessions: Sessions) -> None:
    made = await sessions.create(ANN)
    await sessions.end(made)
    assert not await sessions.save(made)
    assert await sessions.load(made.id, knowing(ANN)) is None
    assert await sessions.of(ANN.email) == []


async def _ends_with_the_account(sessions: Sessions) -> None:
    changes = [
        [ANN._replace(password="other")],
        [ANN._replace(enabled=False)],
        [],
        [BOB],
    ]
    for accounts in changes:
        made = await sessions.create(ANN)
        assert await sessions.load(made.id, knowing(ANN))
        assert await sessions.load(made.id, knowing(*accounts)) is None
        assert await sessions.load(made.id, knowing(ANN)) is None, "it does not come back"


async def _outlives_an_upgraded_hash(sessions: Sessions) -> None:
    made = await sessions.create(ANN)
    assert await sessions.note_upgrade(ANN.email, "hash", "better")
    assert await sessions.note_upgrade(ANN.email, "hash", "also better")
    assert await sessions.load(made.id, knowing(ANN._replace(password="better")))
    assert await sessions.note_upgrade(ANN.email, "better", "best")
    assert await sessions.load(made.id, knowing(ANN._replace(password="best")))
    assert await sessions.load(made.id, knowing(ANN._replace(password="changed"))) is None


async def _goes_on_where_the_password_was_changed_in_it(sessions: Sessions) -> None:
    here, elsewhere = await sessions.create(ANN), await sessions.create(ANN)
    changed = ANN._replace(password="changed")
    await sessions.rebind(here, changed)
    assert await sessions.load(here.id, knowing(changed))
    assert await sessions.load(elsewhere.id, knowing(changed)) is None


async def _is_listed_and_ended_from_the_list(sessions: Sessions) -> None:
    first = await sessions.create(ANN, client_ip="192.0.2.1", user_agent="Firefox")
    second = await sessions.create(ANN, client_ip="192.0.2.2")
    other = await sessions.create(BOB)
    assert {info.handle for info in await sessions.of(ANN.email)} == {first.handle, second.handle}
    info = next(info for info in await sessions.of(ANN.email) if info.handle == first.handle)
    assert (info.client_ip, info.user_agent) == ("192.0.2.1", "Firefox")
    assert abs(info.last_seen - first.created) < 5
    assert not await sessions.end_one(ANN.email, other.handle), "other people's sessions are not hers to end"
    assert await sessions.end_one(ANN.email, first.handle)
    assert await sessions.load(first.id, knowing(ANN)) is None
    third = await sessions.create(ANN)
    assert await sessions.end_all(ANN.email, keep=third) == 1
    assert await sessions.load(third.id, knowing(ANN))
    assert await sessions.end_all(ANN.email) == 1
    assert await sessions.load(other.id, knowing(BOB))


async def _webmail_token_lives_with_it(sessions: Sessions) -> None:
    made = await sessions.create(ANN)
    assert made.webmail_token.startswith("token-")
    assert await sessions.holds(made.webmail_token, ANN)
    for token in (
        "",
        "token-",
        made.webmail_token + "x",
        made.webmail_token.removeprefix("token-"),
        "token-" + "x" * 999,
    ):
        assert not await sessions.holds(token, ANN)
    assert not await sessions.holds(made.webmail_token, BOB)
    assert not await sessions.holds(made.webmail_token, ANN._replace(enabled=False))
    assert not await sessions.holds(made.webmail_token, ANN._replace(password="changed"))
    await sessions.end(made)
    assert not await sessions.holds(made.webmail_token, ANN)


EVERY: list[Play] = [
    _is_read_back,
    _keeps_what_pages_store,
    _stays_ended,
    _ends_with_the_account,
    _outlives_an_upgraded_hash,
    _goes_on_where_the_password_was_changed_in_it,
    _is_listed_and_ended_from_the_list,
    _webmail_token_lives_with_it,
]


@pytest.mark.parametrize("play", EVERY, ids=lambda play: play.__name__)
def test_in_memory(play: Play) -> None:
    asyncio.run(play(Sessions(MemoryShelf(), rules())))  # type: ignore[arg-type]


def test_in_redis(redis_server: RedisServer) -> None:
    async def all_of_them() -> None:
        redis = redis_client(redis_server.url(3), password=PASSWORD)
        shelves: list[Shelf] = [RedisShelf(redis), SteadyShelf(RedisShelf(redis), MemoryShelf())]
        for shelf in shelves:
            for play in EVERY:
                await play(Sessions(shelf, rules()))
                await redis.flushdb()
        await redis.aclose()

    asyncio.run(all_of_them())


def test_it_ends_without_use_and_in_any_case() -> None:
    clock = Clock()

    async def play() -> None:
        sessions = Sessions(MemoryShelf(clock=clock), rules(), clock=clock)
        made = await sessions.create(ANN)
        for _ in range(23):
            clock.advance(3599)
            assert await sessions.load(made.id, knowing(ANN))
        assert (await sessions.of(ANN.email))[0].last_seen == clock()
        clock.advance(3599)
        assert await sessions.load(made.id, knowing(ANN)), "one second left"
        clock.advance(86400 - 24 * 3599)
        assert await sessions.load(made.id, knowing(ANN)) is None
        unused = await sessions.create(ANN)
        clock.advance(3600)
        assert await sessions.load(unused.id, knowing(ANN)) is None
        assert not await sessions.holds(unused.webmail_token, ANN)
        assert await sessions.of(ANN.email) == []

    asyncio.run(play())


def test_redis_ends_it_by_itself(redis_server: RedisServer) -> None:
    async def play() -> None:
        redis = redis_client(redis_server.url(3), password=PASSWORD)
        sessions = Sessions(RedisShelf(redis), rules(idle_seconds=1, lifetime_seconds=2))
        made = await sessions.create(ANN)
        await asyncio.sleep(0.6)
        assert await sessions.load(made.id, knowing(ANN))
        await asyncio.sleep(0.6)
        assert await sessions.load(made.id, knowing(ANN)), "use keeps it"
        await asyncio.sleep(2.2)
        assert await redis.dbsize() == 0, "nothing is left behind"
        await redis.aclose()

    asyncio.run(play())


def test_reading_redis_opens_no_session(redis_server: RedisServer) -> None:
    async def play() -> None:
        redis = redis_client(redis_server.url(3), password=PASSWORD)
        made = await Sessions(RedisShelf(redis), rules()).create(ANN)
        texts = [key async for key in redis.scan_iter()]
        texts += [str(await redis.get(key)) for key in texts if key.startswith(("session:", "webmail"))]
        assert made.id not in "\n".join(texts)
        assert "hash" not in "\n".join(texts).replace("handle", "")
        await redis.aclose()

    asyncio.run(play())


@pytest.mark.parametrize(("bits", "least"), [(64, 11), (128, 22), (256, 43)])
def test_its_name_is_as_random_as_the_operator_wants(bits: int, least: int) -> None:
    async def play() -> set[str]:
        sessions = Sessions(MemoryShelf(), rules(id_bits=bits))
        return {(await sessions.create(ANN)).id for _ in range(50)}

    names = asyncio.run(play())
    assert len(names) == 50
    assert {len(name) for name in names} == {least}


def test_without_redis_people_log_in_again_and_webmail_is_told_to_try_later(redis_server: RedisServer) -> None:
    pauses = Clock(0)

    async def play() -> None:
        redis = redis_client(redis_server.url(3), password=PASSWORD)
        shelf = SteadyShelf(RedisShelf(redis), MemoryShelf(), steady=Steady("sessions", clock=pauses))
        sessions = Sessions(shelf, rules())
        house = House(directory(ANN), sessions=sessions)
        before = await sessions.create(ANN)
        redis_server.stop()
        assert await sessions.load(before.id, knowing(ANN)) is None
        with pytest.raises(SessionsAway):
            await sessions.holds(before.webmail_token, ANN)
        decision = await house.try_(ANN.email, before.webmail_token, protocol="webmail-imap")
        assert isinstance(decision, TryLater)
        assert not await sessions.note_upgrade(ANN.email, "hash", "better")
        meanwhile = await sessions.create(ANN, data={"a": 1})
        assert await sessions.load(meanwhile.id, knowing(ANN))
        assert await sessions.save(meanwhile)
        redis_server.start()
        pauses.advance(60)
        assert await sessions.load(meanwhile.id, knowing(ANN)), "it outlives the outage"
        after = await sessions.create(ANN)
        assert isinstance(await house.try_(ANN.email, after.webmail_token, protocol="webmail-imap"), Accepted)
        assert {info.handle for info in await sessions.of(ANN.email)} == {meanwhile.handle, after.handle}
        assert await sessions.end_all(ANN.email) == 2
        assert await sessions.load(meanwhile.id, knowing(ANN)) is None
        await sessions.close()

    asyncio.run(play())


def test_a_restart_of_ours_ends_no_session(redis_server: RedisServer) -> None:
    async def one_process(session_id: str | None) -> str:
        sessions = Sessions(RedisShelf(redis_client(redis_server.url(3), password=PASSWORD)), rules())
        if session_id:
            assert await sessions.load(session_id, knowing(ANN))
        made = await sessions.create(ANN)
        await sessions.close()
        return made.id

    asyncio.run(one_process(asyncio.run(one_process(None))))


def test_memory_is_bounded() -> None:
    async def play() -> None:
        sessions = Sessions(MemoryShelf(size=20), rules())
        made = [await sessions.create(user(f"p{number}@example.org")) for number in range(50)]
        assert await sessions.load(made[0].id, knowing(user("p0@example.org"))) is None
        assert await sessions.load(made[-1].id, knowing(user("p49@example.org")))

    asyncio.run(play())
