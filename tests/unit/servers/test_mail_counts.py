"""Numbers of mail that agents tell: read, given to domains of ours, written once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
from tests.directory_harness import SECRET, handlers, snapshot

from mailu.directory.day_counts import SERVER
from mailu.directory.mail_counts import Key, counts_of_days
from mailu.directory.snapshot import Snapshot
from mailu.directory.store import open_store
from mailu.servers.bookkeeping import Batch, Bookkeeping
from mailu.servers.keeper import NotReady
from mailu.servers.mail_counts import UnreadableReport, parse_report
from mailu.servers.writing import write_batch
from mailu.wire.http import HttpRequest, HttpResponse

DAY = date(2026, 11, 29)


def report(*rows: object) -> bytes:
    return json.dumps(list(rows)).encode()


def test_each_number_counts_for_the_server_and_for_its_domain_if_that_is_ours() -> None:
    found = parse_report(
        snapshot(),
        report(
            ["2026-11-29", "received", "example.com", 3],
            ["2026-11-29", "received", "EXAMPLE.net", 4],
            ["2026-11-29", "received", "bücher.example", 1],
            ["2026-11-29", "refused", "elsewhere.test", 5],
            ["2026-11-29", "refused", "relayed.test", 5],
            ["2026-11-29", "sent", "", 2],
            ["2026-11-29", "sent", "no domain at all\u0000", 2],
        ),
    )
    assert found == {
        (DAY, SERVER, "received"): 8,
        (DAY, "example.com", "received"): 7,
        (DAY, "xn--bcher-kva.example", "received"): 1,
        (DAY, SERVER, "refused"): 10,
        (DAY, SERVER, "sent"): 4,
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}\n{",
        b"7",
        b"\xff",
        report(["2026-11-29", "received", "example.com"]),
        report(["29.11.2026", "received", "example.com", 1]),
        report([20261129, "received", "example.com", 1]),
        report(["2026-11-29", "guessed", "example.com", 1]),
        report(["2026-11-29", "received", "example.com", -1]),
        report(["2026-11-29", "received", "example.com", "many"]),
        report(["2026-11-29", "received", "example.com", 2**70]),
    ],
)
def test_what_is_no_report_is_refused(body: bytes) -> None:
    with pytest.raises(UnreadableReport):
        parse_report(snapshot(), body)


def post(folder: Path, body: bytes, *, secret: str = SECRET, **more: object) -> HttpResponse:
    request = HttpRequest("POST", "/mail-counts", {"x-mailu-secret": secret}, body=body)
    return asyncio.run(handlers(folder, **more).answer(request))  # type: ignore[arg-type]


def test_the_door_takes_reports_from_who_knows_the_secret(tmp_path: Path) -> None:
    taken: list[Mapping[Key, int]] = []
    body = report(["2026-11-29", "sent", "example.com", 2])
    assert post(tmp_path, body, mail_counted=taken.append).status == 200
    assert taken == [{(DAY, SERVER, "sent"): 2, (DAY, "example.com", "sent"): 2}]
    assert post(tmp_path, body, mail_counted=taken.append, secret="another").status == 403
    assert post(tmp_path, b"nonsense", mail_counted=taken.append).status == 400
    assert len(taken) == 1


def test_a_directory_that_knows_no_domains_yet_wants_to_be_told_later(tmp_path: Path) -> None:
    def unread() -> Snapshot:
        raise NotReady("not yet")

    assert post(tmp_path, report(["2026-11-29", "sent", "example.com", 2]), source=unread).status == 503


def test_numbers_that_could_not_be_written_are_added_to_the_next_ones() -> None:
    written: list[Counter[Key]] = []
    failing = True

    def write(batch: Batch) -> None:
        if failing:
            raise ConnectionError("gone")
        written.append(batch.mail)

    async def scenario() -> None:
        nonlocal failing
        bookkeeping = Bookkeeping(write)
        bookkeeping.mail_counted({(DAY, SERVER, "sent"): 2})
        assert not await bookkeeping.flush()
        bookkeeping.mail_counted({(DAY, SERVER, "sent"): 3, (DAY, SERVER, "junk"): 1})
        failing = False
        assert await bookkeeping.flush()
        assert await bookkeeping.flush()
        await bookkeeping.close(1)

    asyncio.run(scenario())
    assert written == [{(DAY, SERVER, "sent"): 5, (DAY, SERVER, "junk"): 1}]


def test_numbers_are_stored_and_make_nobody_load_the_directory_again(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/main.db")
    store.upgrade()
    before = store.data_version()
    for number in (1, 2):
        write_batch(store, Batch(mail=Counter({(DAY, SERVER, "received"): number})))
    with store.read() as session:
        assert [day.received for day in counts_of_days(session, first=DAY, last=DAY)] == [3]
    assert store.data_version() == before
    store.close()
