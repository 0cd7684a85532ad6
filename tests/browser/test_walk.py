"""Every page of the route table, as everybody who may see it: accessible, light and dark, on a phone, without a mouse.

A page that is added is walked too: nothing here names one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from _pytest.mark.structures import ParameterSet
from playwright.sync_api import Browser, Page

from tests.browser.served import BASE, new_page, serious, sign_on
from tests.unit.web.addresses import ALLOWED, PEOPLE, address, looked_at

FIRST = ("/sso/login", "/admin/")
WALKERS = ("anonymous", "user", "manager", "admin")


def _walks() -> Iterator[ParameterSet]:
    """Who, where to, and whether it is the one of fewest rights who sees it, for whom everything is looked at."""
    for page in looked_at():
        allowed = [who for who in WALKERS if who in ALLOWED[page.permission.name]]
        for who in allowed:
            yield pytest.param(who, address(page), who == allowed[0], id=f"{who}-{page.name}")


WALKS = list(_walks())

# In the order of the document, which is the one in which the Tab key goes where no tabindex says otherwise.
REACHABLE = """() => [...document.querySelectorAll(
    'a[href], button, input, select, textarea, summary, [tabindex]')].filter(element =>
        element.tabIndex >= 0 && !element.disabled && !element.closest('fieldset[disabled]')
        && element.type !== 'hidden' && element.checkVisibility({visibilityProperty: true})
        && !(element.closest('details:not([open])') && element.tagName !== 'SUMMARY'))"""
# Writes down what gets the focus: its place in that order, and whether it can be seen there.
WATCH = f"""() => {{
    const order = ({REACHABLE})();
    window.walked = [];
    document.activeElement.blur();
    window.scrollTo(0, 0);
    document.addEventListener('focusin', ({{target}}) => {{
        const style = getComputedStyle(target), box = target.getBoundingClientRect();
        const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
        const inside = box.width > 0 && box.bottom > 0 && box.top < innerHeight
            && box.right > 0 && box.left < innerWidth;
        window.walked.push([order.indexOf(target), ring && inside, target.outerHTML.slice(0, 150)]);
    }});
    return order.length
}}"""


@pytest.fixture(scope="module")
def walker(browser: Browser) -> Iterator[Callable[[str], Page]]:
    """A page of each visitor, signed in once."""
    pages: dict[str, Page] = {}

    def of(who: str) -> Page:
        if who not in pages:
            pages[who] = new_page(browser)
            if who != "anonymous":
                sign_on(pages[who], PEOPLE[who])
        return pages[who]

    yield of
    for page in pages.values():
        page.context.close()


def test_every_page_is_walked() -> None:
    assert len({path for _who, path, _whole in (walk.values for walk in WALKS)}) > 70


@pytest.mark.parametrize(("who", "path", "whole"), WALKS)
def test_a_page_keeps_nobody_out(walker: Callable[[str], Page], who: str, path: str, whole: bool) -> None:
    page = walker(who)
    complaints: list[str] = []
    page.once("pageerror", lambda error: complaints.append(str(error)))
    page.set_viewport_size({"width": 1280, "height": 800})
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    answer = page.goto(f"{BASE}{path}")
    assert answer is not None
    assert answer.status in (200, 404, 405, 409), answer.status
    assert page.locator("h1").count() == 1
    # The frame is the same around all of them; it is looked at where people come first.
    within = None if path in FIRST else "main"
    assert serious(page, within=within) == []
    if whole:
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        assert serious(page, "color-contrast", within=within) == []
        assert _keyboard_troubles(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert complaints == []


def _keyboard_troubles(page: Page) -> list[str]:
    """Walk the page with the Tab key: everything is reached, in order, and seen while it has the focus."""
    wanted = page.evaluate(WATCH)
    # A field for a date has several stops of its own.
    dates = page.locator("input[type=date]").count()
    walked: list[tuple[int, bool, str]] = []
    order: list[int] = []
    # Between the last and the first the browser has stops of its own.
    for presses in (wanted + 4 * dates + 3, *[1] * wanted):
        for _ in range(presses):
            page.keyboard.press("Tab")
        walked = page.evaluate("window.walked")
        order = list(dict.fromkeys(index for index, _seen, _shown in walked if index >= 0))
        if len(order) == wanted:
            break
    troubles = [f"cannot be seen: {shown}" for index, seen, shown in walked if index >= 0 and not seen]
    first = order[0] if order else 0
    # It begins where autofocus is, and goes on from the top.
    if order != [*range(first, wanted), *range(first)]:
        troubles.append(f"not reached, or not in order, of {wanted}: {order}")
    return troubles
