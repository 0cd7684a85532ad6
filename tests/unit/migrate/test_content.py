"""What an earlier release let be stored: mended, left out or refused, and each time said so."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from mailu.directory.models import Fetch, User
from mailu.migrate.content import Content, build_content
from mailu.migrate.database import Tables
from mailu.migrate.report import Report
from mailu.migrate.rows import plain_value

HASH = "$1$F2OStvi1$Q8hBIHkdJpJkJn/TrMIZ9/"


def user(email: str = "ann@example.org", **columns: Any) -> dict[str, Any]:
    return {"email": email, "domain_name": email.rpartition("@")[2], "password": HASH, "comment": None, **columns}


def alias(email: str, destination: str, **columns: Any) -> dict[str, Any]:
    return {"email": email, "domain_name": email.rpartition("@")[2], "destination": destination, **columns}


def built(**rows: list[dict[str, Any]]) -> tuple[Content, Report]:
    report = Report()
    domains = rows.pop("domain", [{"name": "example.org"}])
    return build_content(Tables("0ba45693748d", {"domain": domains, **rows}), report), report


def said(report: Report, outcome: str = "explained") -> str:
    return "\n".join(f"{item.name}: {item.text}" for item in report.items if item.outcome == outcome)


def test_names_become_canonical_and_keep_what_was_written() -> None:
    content, report = built(
        domain=[{"name": "Bücher.example"}],
        user=[user("Ann@bücher.example")],
        alias=[alias("A@BÜCHER.example", "X@Y.org")],
    )
    assert not report.items
    assert content.sections["user"][0]["email"] == "ann@xn--bcher-kva.example"
    assert content.sections["alias"][0]["destination"] == ["x@y.org"]
    assert content.spelled == {"ann@xn--bcher-kva.example": "Ann@bücher.example"}


def test_every_clash_is_listed() -> None:
    _, report = built(
        domain=[{"name": "example.org"}, {"name": "EXAMPLE.org"}],
        user=[user("ann@example.org"), user("Ann@example.org"), user("ANN@example.org")],
        alias=[alias("anN@example.org", "x@y.org")],
        relay=[{"name": "Example.ORG"}],
    )
    assert len(report.refused) == 5
    assert said(report, "refused").count("without regard to case") == 5


def test_an_alias_under_a_users_own_address_never_had_an_effect() -> None:
    content, report = built(user=[user()], alias=[alias("ann@example.org", "x@y.org")])
    assert not content.sections["alias"]
    assert "never had an effect" in said(report)


@pytest.mark.parametrize(
    ("columns", "field", "value"),
    [
        ({"spam_threshold": 150}, "spam_threshold", 100),
        ({"spam_threshold": "80.0"}, "spam_threshold", 80),
        ({"quota_bytes": -5}, "quota_bytes", 0),
        ({"displayed_name": "Ann\nB."}, "displayed_name", "Ann B."),
        ({"comment": "x" * 300}, "comment", "x" * 255),
        ({"reply_body": "ab\n" * 2000}, "reply_body", "ab\n" * 1249 + "a…"),
        ({"forward_destination": "a@b.org, nonsense,C@D.org"}, "forward_destination", ["a@b.org", "c@d.org"]),
        ({"enabled": 0}, "enabled", False),
        ({"reply_startdate": "2026-01-02"}, "reply_startdate", date(2026, 1, 2)),
        ({"spam_threshold": None}, "spam_threshold", None),
        ({"forward_enabled": 1, "forward_destination": ""}, "forward_enabled", False),
        ({"password": "{BLF-CRYPT}$2b$05$MfU0FeerFZMNDLMNvNAzoO9CXXtJkDWe8XFVqHgORmpvX2Hxsw4xS"}, "password",
         "$2b$05$MfU0FeerFZMNDLMNvNAzoO9CXXtJkDWe8XFVqHgORmpvX2Hxsw4xS"),
    ],
)  # fmt: skip
def test_a_value_is_taken_or_mended(columns: dict[str, Any], field: str, value: Any) -> None:
    content, report = built(user=[user(**columns)])
    assert content.sections["user"][0].get(field) == value
    assert not report.refused


def test_a_reply_that_ends_before_it_begins_is_switched_off() -> None:
    content, report = built(user=[user(reply_enabled=1, reply_startdate="2026-05-01", reply_enddate="2026-04-01")])
    assert content.sections["user"][0]["reply_enabled"] is False
    assert "last day" in said(report)


def test_a_password_that_nobody_can_check_is_told() -> None:
    content, report = built(user=[user(password="plain text")])
    assert content.unusable_hashes == {"ann@example.org"}
    assert "set another one" in said(report, "warning")
    assert "plain text" not in said(report, "warning")


def test_what_belongs_to_nobody_is_left_out() -> None:
    content, report = built(
        user=[user()],
        alternative=[{"name": "x.org", "domain_name": "gone.org"}],
        alias=[alias("b@example.org", ""), alias("c@example.org", "c@example.org"),
               alias("d@example.org", "x@y.org", owner_email="gone@example.org")],
        token=[{"id": 1, "user_email": "gone@example.org", "password": HASH},
               {"id": 2, "user_email": "ann@example.org", "password": "nonsense"}],
        fetch=[{"id": 1, "user_email": "ann@example.org", "protocol": "imap", "host": "", "port": 1, "username": "u",
                "password": "p"}],
        manager=[{"domain_name": "example.org", "user_email": "gone@example.org"}],
        domain_access=[{"domain_name": "gone.org", "user_email": "ann@example.org"}],
    )  # fmt: skip
    assert not report.refused
    assert said(report).count("left out") == 9
    assert not content.sections["alias"]
    assert content.sections["user"][0].keys() == {"email", "password"}


def test_addresses_that_are_none_are_refused() -> None:
    _, report = built(user=[user("ann b@example.org")], alias=[alias("x@nowhere.org", "x@y.org")])
    assert len(report.refused) == 2
    assert "nowhere.org" in said(report, "refused")


def test_columns_and_tables_that_nobody_knows_are_told() -> None:
    report = Report()
    tables = Tables(
        "0ba45693748d", {"domain": [{"name": "example.org"}], "user": [user(totp="x", empty=None)]}, ["scim"]
    )
    build_content(tables, report)
    assert "column user.totp" in said(report)
    assert "column user.empty" not in said(report)
    assert "table scim" in said(report)


def test_facts_come_along() -> None:
    content, _ = built(user=[user(quota_bytes_used=77, created_at="2020-02-03", updated_at=None)])
    assert content.sections["user"][0]["quota_bytes_used"] == 77
    assert content.sections["user"][0]["created_at"] == date(2020, 2, 3)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("last_check", "2026-01-02 03:04:05.000006", datetime(2026, 1, 2, 3, 4, 5, 6, UTC)),
        ("last_check", datetime(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC)),  # noqa: DTZ001
        ("last_check", "nonsense", "nonsense"),
        ("tls", 1, True),
        ("tls", True, True),
        ("tls", "2", "2"),
        ("port", "993", 993),
        ("folders", "INBOX,Sent Items", ["INBOX", "Sent Items"]),
        ("folders", None, []),
        ("host", b"host", "host"),
        ("created_at", datetime(2026, 1, 2), date(2026, 1, 2)),  # noqa: DTZ001
    ],
)
def test_values_of_three_databases_become_one(name: str, given: Any, value: Any) -> None:
    assert plain_value(Fetch, name, given) == value


def test_a_number_that_is_none_is_left_to_its_rule() -> None:
    assert plain_value(User, "quota_bytes", "lots") == "lots"
