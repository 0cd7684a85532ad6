"""Numbers of mail over the API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from fastapi.testclient import TestClient

from mailu.directory.day_counts import SERVER
from mailu.directory.mail_counts import add_mail_counts
from mailu.directory.models import today
from mailu.servers.admin import Admin
from mailu.settings import Settings

DAY = date(2026, 3, 1)


@pytest.fixture(autouse=True)
def counted(admin: Admin) -> None:
    with admin.control.store.bookkeeping() as session:
        add_mail_counts(
            session,
            {
                (DAY, SERVER, "received"): 5,
                (DAY, "example.test", "received"): 3,
                (DAY, "example.test", "junk"): 1,
                (today(), SERVER, "sent"): 9,
            },
        )


def test_numbers_come_day_by_day(client: TestClient) -> None:
    answer = client.get("/statistics", params={"from": "2026-02-28", "to": "2026-03-01"})
    assert answer.json() == [
        {"day": "2026-02-28", "received": 0, "sent": 0, "refused": 0, "junk": 0},
        {"day": "2026-03-01", "received": 5, "sent": 0, "refused": 0, "junk": 0},
    ]
    of_domain = client.get("/statistics", params={"from": "2026-03-01", "to": "2026-03-01", "domain": "Example.TEST"})
    assert of_domain.json() == [{"day": "2026-03-01", "received": 3, "sent": 0, "refused": 0, "junk": 1}]


def test_where_mail_goes_by_other_machines_a_header_says_so(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Mailu-Not-Counted" not in client.get("/statistics").headers
    monkeypatch.setattr(Settings, "counted_elsewhere", ("SMTP_ADDRESS", "IMAP_ADDRESS"))
    assert client.get("/statistics").headers["Mailu-Not-Counted"] == "SMTP_ADDRESS, IMAP_ADDRESS"


def test_without_days_it_is_the_last_thirty(client: TestClient) -> None:
    found = client.get("/statistics").json()
    assert (len(found), found[-1]["day"], found[-1]["sent"]) == (30, str(today()), 9)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"from": "2026-03-02", "to": "2026-03-01"}, 400),
        ({"from": "2020-01-01", "to": "2026-03-01"}, 400),
        ({"from": "yesterday"}, 400),
        ({"domain": "not a domain"}, 400),
        ({"domain": "nowhere.test"}, 404),
        ({"to": "0001-01-01"}, 200),
        ({"to": "9999-12-31"}, 200),
    ],
)
def test_what_cannot_be_asked_is_refused(client: TestClient, query: dict[str, str], status: int) -> None:
    assert client.get("/statistics", params=query).status_code == status


def test_a_token_for_some_domains_sees_their_numbers_only(
    connect: Callable[..., TestClient], scoped_token: Callable[..., str]
) -> None:
    client = connect(scoped_token("example.test", read_only=True))
    assert client.get("/statistics", params={"domain": "example.test"}).status_code == 200
    assert client.get("/statistics", params={"domain": "other.test"}).status_code == 403
    assert client.get("/statistics", params={"domain": ""}).status_code != 200
    assert client.get("/statistics").status_code == 403
