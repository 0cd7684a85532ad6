"""Makes the pictures of the documentation: ``python -m tests.browser.screenshots``, as root."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

from mailu.directory import changes
from mailu.directory.changes import SYSTEM
from mailu.directory.day_counts import SERVER
from mailu.directory.mail_counts import Key, add_mail_counts
from mailu.directory.models import today
from mailu.servers.admin import Admin
from tests.browser.served import BASE, chromium, new_page, served, sign_on
from tests.unit.web.addresses import PEOPLE
from tests.unit.web.conftest import HASH

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
PICTURES = (
    ("sign-in", "/sso/login", 1280, False),
    ("overview", "/admin/", 1280, False),
    ("overview-dark-phone", "/admin/", 360, True),
    ("mailboxes", "/admin/user/list/example.test", 1280, False),
    ("mailboxes-dark-phone", "/admin/user/list/example.test", 360, True),
    ("dns", "/admin/domain/details/example.test", 1280, True),
    ("rules", "/admin/user/rules", 1280, False),
    ("rule-phone", "/admin/user/rule/1", 360, False),
    ("security-dark", "/admin/user/security", 1280, True),
    ("sign-up-phone", "/admin/user/signup/example.test", 360, True),
)
_NAMES = (
    "Anna Bertrand",
    "Karol Nowak",
    "Sofía Ramos",
    "Jun Tanaka",
    "Mara Lind",
    "Uwe Sommer",
    "Li Wei",
    "Ines Costa",
)


_RULES = (
    {
        "name": "Newsletters",
        "match": "any",
        "conditions": [
            {"field": "list-id", "test": "exists"},
            {"field": "subject", "test": "contains", "value": "newsletter"},
        ],
        "folder": "Lists/News",
    },
    {
        "name": "From the bank",
        "conditions": [{"field": "from", "test": "matches", "value": "*@bank.example"}],
        "folder": "Money",
        "mark_flagged": True,
    },
    {
        "name": "Large attachments",
        "enabled": False,
        "conditions": [{"field": "size", "test": "over", "value": "20"}],
        "forward": "archive@example.test",
        "stop": False,
    },
)


def main() -> None:
    """Write every picture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with served() as admin, chromium() as browser:
        _people(admin)
        for name, path, width, dark in PICTURES:
            page = new_page(browser, width=width, height=740 if width < 500 else 720, dark=dark)
            if not name.startswith("sign-"):
                sign_on(page, PEOPLE["admin"])
            page.goto(f"{BASE}{path}")
            page.screenshot(path=FOLDER / f"{name}.png")
            page.context.close()


def _people(admin: Admin) -> None:
    chance = random.Random(7)
    with admin.control.store.session() as session:
        for name in _NAMES:
            email = f"{name.split()[0].lower().replace('í', 'i')}@example.test"
            changes.create_user(session, email, password_hash=HASH, displayed_name=name, actor=SYSTEM)
        changes.update_user(session, PEOPLE["admin"], displayed_name="Ada Admin", mail_rules=list(_RULES), actor=SYSTEM)
    with admin.control.store.bookkeeping() as session:
        for name in _NAMES:
            email = f"{name.split()[0].lower().replace('í', 'i')}@example.test"
            changes.record_quota(session, email, quota_bytes_used=chance.randrange(10**7, 10**9))
        add_mail_counts(session, _month(chance))


def _month(chance: random.Random) -> dict[Key, int]:
    """A month of a small server's mail, quieter at weekends."""
    usual = {"received": 420, "sent": 130, "refused": 240, "junk": 30}
    found: dict[Key, int] = {}
    for back in range(30):
        day = today() - timedelta(back)
        share = 1.0 if day.weekday() < 5 else 0.35
        found |= {(day, SERVER, kind): int(most * share * chance.uniform(0.6, 1.4)) for kind, most in usual.items()}
    return found


if __name__ == "__main__":
    main()
