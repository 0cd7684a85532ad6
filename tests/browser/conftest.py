"""One server and one browser for all tests; each test has a page without cookies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from mailu.servers.admin import Admin
from tests.browser.served import CHROMIUM, chromium, new_page, served, sign_on
from tests.unit.web.addresses import PEOPLE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in str(item.path):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def admin() -> Iterator[Admin]:
    if os.geteuid() != 0 or not shutil.which(CHROMIUM):
        pytest.skip("needs root, for port 443, and Chromium")
    with served() as found:
        yield found


@pytest.fixture(scope="package")
def browser(admin: Admin) -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages; *who* is signed in where one is named."""
    opened: list[Page] = []

    def make(who: str | None = None, **options: object) -> Page:
        page = new_page(browser, **options)  # type: ignore[arg-type]
        opened.append(page)
        if who is not None:
            sign_on(page, PEOPLE[who])
        return page

    yield make
    for page in opened:
        page.context.close()
