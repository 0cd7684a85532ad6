"""Charts of how much mail there was."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from tests.unit.web.conftest import Browser

from mailu.directory.day_counts import SERVER, DayCounts
from mailu.directory.mail_counts import add_mail_counts
from mailu.directory.models import today
from mailu.servers.admin import Admin
from mailu.settings import Settings
from mailu.web.charts import HEIGHT, LOWEST, mail_charts
from mailu.web.language import load, use

SignIn = Callable[[str], Browser]
NOTHING = "Nothing was counted yet"


@pytest.fixture
def counted(admin: Admin) -> None:
    with admin.control.store.bookkeeping() as session:
        add_mail_counts(
            session,
            {
                (today(), SERVER, "received"): 1234,
                (today(), "example.test", "received"): 77,
                (today(), "other.test", "received"): 1157,
                (today() - timedelta(60), "example.test", "sent"): 4321,
            },
        )


@pytest.mark.usefixtures("counted")
def test_the_first_page_shows_the_server_to_administrators_only(signed_in: SignIn) -> None:
    page = signed_in("admin").get("/admin/").text
    assert page.count("<svg") == 4
    assert "1,234" in page
    for who in ("manager", "user"):
        page = signed_in(who).get("/admin/").text
        assert "<svg" not in page
        assert "1,234" not in page


@pytest.mark.usefixtures("counted")
def test_who_looks_after_a_domain_sees_its_numbers_and_no_others(signed_in: SignIn) -> None:
    manager = signed_in("manager")
    page = manager.get("/admin/statistics/example.test").text
    assert ">77<" in page
    assert "1,157" not in page
    assert "4,321" not in page
    assert "4,321" in manager.get("/admin/statistics/example.test?days=90").text
    assert manager.get("/admin/statistics/other.test").status_code == 403
    assert manager.get("/admin/statistics").status_code == 403


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize(("days", "bars"), [("", 30), ("30", 30), ("90", 90), ("364", 52), ("7", 30), ("x'", 30)])
def test_the_time_can_be_chosen(signed_in: SignIn, days: str, bars: int) -> None:
    page = signed_in("admin").get(f"/admin/statistics?days={days}").text
    assert page.count('class="slot"') == 4 * bars
    assert page.count('<th scope="row">') == bars


def test_before_anything_was_counted_the_page_says_what_will_be_there(signed_in: SignIn) -> None:
    for path in ("/admin/", "/admin/statistics", "/admin/statistics/example.test"):
        page = signed_in("admin").get(path).text
        assert NOTHING in page
        assert "<svg" not in page


@pytest.mark.usefixtures("counted")
def test_where_mail_goes_by_other_machines_the_pages_say_that_some_may_be_missing(
    signed_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, paths = signed_in("admin"), ("/admin/", "/admin/statistics", "/admin/statistics/example.test")
    for path in paths:
        assert "may be missing here" not in admin.get(path).text
    monkeypatch.setattr(Settings, "counted_elsewhere", ("SMTP_ADDRESS", "IMAP_ADDRESS"))
    for path in paths:
        assert "other machines (SMTP_ADDRESS, IMAP_ADDRESS)" in admin.get(path).text


@pytest.mark.usefixtures("counted")
def test_charts_need_no_script_and_no_style_of_their_own(signed_in: SignIn) -> None:
    answer = signed_in("admin").get("/admin/statistics")
    assert not re.search(r'\sstyle="|<style|<script(?! src)', answer.text)


def test_bars_are_as_high_as_what_they_stand_for_and_never_too_low_to_be_seen() -> None:
    use(load("en"))
    first = date(2026, 2, 27)
    days = [DayCounts(first + timedelta(number), received=count) for number, count in enumerate((0, 1, 5000, 10000))]
    charts = mail_charts(days)
    bars = charts.charts[0].bars
    assert [bar.height for bar in bars] == [0, LOWEST, HEIGHT / 2, HEIGHT]
    assert bars[2].words == "Mar 1: 5,000"
    assert (charts.charts[0].total, charts.charts[0].most) == (15001, 10000)
    assert [name for name, _numbers in charts.rows] == ["Mar 2", "Mar 1", "Feb 28", "Feb 27"]
    weeks = mail_charts(days, days_a_bar=2)
    assert [(name, numbers.received) for name, numbers in weeks.rows] == [
        ("Mar 1 – Mar 2", 15000), ("Feb 27 – Feb 28", 1),
    ]  # fmt: skip
