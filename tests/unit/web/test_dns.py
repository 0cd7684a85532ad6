"""The page of a domain's DNS records and signing keys."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.web.conftest import Browser

from mailu.address import DomainName
from mailu.directory.models import Audit
from mailu.identity import dkim
from mailu.servers.admin import Admin

SignIn = Callable[[str], Browser]
DOMAIN = DomainName("example.test")
PAGE, KEYS = f"/admin/domain/details/{DOMAIN}", f"/admin/domain/genkeys/{DOMAIN}"


def states(admin: Admin) -> list[tuple[str, str]]:
    """Algorithm and state of each key."""
    found = dkim.load_keys(admin.control.places.dkim, DOMAIN, ("active", "pending", "retired"))
    return sorted((key.algorithm, key.state) for key in found)


def test_keys_are_changed_by_the_rotation(signed_in: SignIn, admin: Admin) -> None:
    dkim.ensure_keys(admin.control.places.dkim, DOMAIN, dkim.default_selectors())
    manager = signed_in("manager")
    assert manager.post(KEYS).headers["location"] == PAGE
    wanted = [("ed25519", "active"), ("ed25519", "pending"), ("rsa", "active"), ("rsa", "pending")]
    assert states(admin) == wanted
    shown = manager.get(PAGE).text
    assert "New keys are made" in shown
    assert "Sign now" in shown
    manager.post(KEYS)
    assert "wait for their DNS records already" in manager.get(PAGE).text
    assert states(admin) == wanted
    assert manager.post(KEYS, {"do": "activate"}).status_code == 303
    assert states(admin) == [("ed25519", "active"), ("ed25519", "retired"), ("rsa", "active"), ("rsa", "retired")]
    assert "can go after" in manager.get(PAGE).text
    with admin.control.store.read() as session:
        noted = [row.actor for row in session.query(Audit).filter(Audit.action == "dkim.rotate")]
    assert noted == ["manager@example.test"] * 2


def test_a_change_of_keys_can_be_given_up(signed_in: SignIn, admin: Admin) -> None:
    dkim.ensure_keys(admin.control.places.dkim, DOMAIN, dkim.default_selectors())
    manager = signed_in("manager")
    manager.post(KEYS)
    assert manager.get(f"{KEYS}?do=cancel").text.count('name="do" value="cancel"') == 1
    manager.post(KEYS, {"do": "cancel"})
    assert states(admin) == [("ed25519", "active"), ("rsa", "active")]


def test_what_is_not_possible_is_said(signed_in: SignIn, admin: Admin) -> None:
    dkim.ensure_keys(admin.control.places.dkim, DOMAIN, dkim.default_selectors())
    manager = signed_in("manager")
    assert manager.post(KEYS, {"do": "activate"}).status_code == 409
    assert manager.post(KEYS, {"do": "retire"}).status_code == 400
    manager.post(KEYS, {"do": "cancel"})
    assert "No key waits" in manager.get(PAGE).text
