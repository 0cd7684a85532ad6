"""The real application over TLS on an address of its own, and a browser that finds it under its real name."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from mailu.address import DomainName
from mailu.identity.certificates import ensure_self_signed
from mailu.servers.admin import Admin
from tests.unit.web.conftest import HOST, PASSWORD, make_admin

ADDRESS = f"{os.environ.get('MAILU_TEST_NETWORK', '127.0.20')}.3"
BASE = f"https://{HOST}"
CHROMIUM = "/usr/bin/chromium"
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", f"--host-resolver-rules=MAP *.example.test {ADDRESS}",
]  # fmt: skip


_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


@contextlib.contextmanager
def served(**environ: str) -> Iterator[Admin]:
    """Serve the pages on port 443 of ADDRESS, which takes root's rights."""
    with tempfile.TemporaryDirectory(prefix="mailu-browser-") as folder:
        root = Path(folder)
        admin = make_admin(root, **environ)
        pair = ensure_self_signed(root / "certs", [DomainName(HOST)])
        config = uvicorn.Config(
            admin.app, host=ADDRESS, port=443, log_config=None, ssl_certfile=pair.chain, ssl_keyfile=str(pair.key)
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        deadline = time.monotonic() + 60
        while not (server.started and admin.keeper.ready):
            assert time.monotonic() < deadline, "the pages are not served"
            time.sleep(0.05)
        try:
            yield admin
        finally:
            server.should_exit = True
            thread.join(10)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def new_page(browser: Browser, *, width: int = 1280, height: int = 800, dark: bool = False) -> Page:
    """A page without cookies."""
    context = browser.new_context(
        ignore_https_errors=True,
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        locale="en-GB",
    )
    return context.new_page()


def serious(page: Page, *rules: str, within: str | None = None) -> list[tuple[str, str]]:
    """What axe finds that keeps somebody out. *rules*: only these, where some are named; *within*: only in there."""
    only = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": list(_TAGS)}
    options = {"runOnly": only, "resultTypes": ["violations"]}
    found = Axe().run(page, context=within, options=options).response["violations"]
    return [(item["id"], item["nodes"][0]["html"][:200]) for item in found if item["impact"] in ("serious", "critical")]


def sign_on(page: Page, email: str, password: str = PASSWORD) -> None:
    """Fill in the form as people do."""
    page.goto(f"{BASE}/sso/login")
    page.fill("#email", email)
    page.fill("#pw", password)
    page.click("button[name=submitAdmin]")
