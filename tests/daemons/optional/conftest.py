"""One server with every optional service, and a browser that knows its name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.daemons.conftest import NETWORK
from tests.daemons.conversation import WITH_API, api
from tests.daemons.server import DOMAIN, OTHER, PASSWORD, USER, Server

CHROMIUM = "/usr/bin/chromium"
SITE = f"https://mail.{DOMAIN}"
SIGNATURE = "MAILU-TEST-VIRUS-SIGNATURE-0001"
"""What our own signature file calls a virus: the real ones cannot be fetched here."""
_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="session")
def full() -> Iterator[Server]:
    """The server, with people who have chosen their passwords."""
    server = Server(
        f"{NETWORK}.60",
        WITH_API
        | {
            "WEBMAIL": "roundcube",
            "WEBDAV": "radicale",
            "ANTIVIRUS": "clamav",
            "SCAN_MACROS": "true",
            "FETCHMAIL_ENABLED": "true",
            "FETCHMAIL_DELAY": "2",
        },
    )
    signatures = server.root / "clamav"
    signatures.mkdir()
    (signatures / "test.ndb").write_text(f"Mailu.Test.Signature:0:*:{SIGNATURE.encode().hex()}\n")
    try:
        server.up()
        for email in (USER, OTHER):
            api(server, "POST", "/user", email=email, raw_password=PASSWORD, change_pw_next_login=False)
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def browser(full: Server) -> Iterator[Browser]:
    """Chromium, for which the server's name is the server."""
    if not shutil.which(CHROMIUM):
        pytest.skip("needs Chromium")
    rules = f"--host-resolver-rules=MAP mail.{DOMAIN} {full.address}"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_ARGUMENTS, rules])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page without cookies."""
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 900}, locale="en-US")
    yield context.new_page()
    context.close()


def sign_on(page: Page, email: str = USER, *, where: str = "/webmail/") -> None:
    """Go to *where* and sign on when asked to."""
    page.goto(SITE + where)
    page.fill("input[name=email]", email)
    page.fill("input[name=pw]", PASSWORD)
    page.press("input[name=pw]", "Enter")
