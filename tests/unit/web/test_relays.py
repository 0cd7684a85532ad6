"""Pages with relayed domains and smart hosts."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.web.conftest import Browser

from mailu.directory.models import Domain, Relay
from mailu.servers.admin import Admin

SignIn = Callable[[str], Browser]
EDIT = "/admin/relay/edit/relayed.test"


def stored(admin: Admin, name: str = "relayed.test") -> tuple[str, tuple[str, ...]]:
    with admin.control.store.read() as session:
        relay = session.get_one(Relay, name)
        return relay.recipients, relay.listed_recipients


def test_recipients_are_listed_and_shown_again(signed_in: SignIn, admin: Admin) -> None:
    browser = signed_in("admin")
    form = {"smtp": "", "recipients": "listed", "listed_recipients": "Bob\nann@relayed.test", "comment": ""}
    assert browser.post(EDIT, form).status_code == 303
    assert stored(admin) == ("listed", ("ann", "bob"))
    assert "ann\nbob</textarea>" in browser.get(EDIT).text.replace("\r", "")
    assert "listed: 2" in browser.get("/admin/relay").text
    made = browser.post(
        "/admin/relay/create", {**form, "name": "new.test", "listed_recipients": "", "recipients": "any"}
    )
    assert made.status_code == 303
    assert stored(admin, "new.test") == ("any", ())


def test_an_address_of_another_domain_is_refused_beside_its_field(signed_in: SignIn, admin: Admin) -> None:
    browser = signed_in("admin")
    form = {"smtp": "", "recipients": "listed", "listed_recipients": "ann@other.test", "comment": ""}
    answer = browser.post(EDIT, form)
    assert answer.status_code == 422
    assert 'id="listed_recipients-error"' in answer.text
    assert "is not an address of relayed.test" in answer.text
    assert "ann@other.test</textarea>" in answer.text
    assert stored(admin) == ("ask", ())


def test_the_password_at_a_smart_host_is_never_shown_and_an_empty_one_stays(signed_in: SignIn, admin: Admin) -> None:
    browser, page = signed_in("admin"), "/admin/domain/smart-host/example.test"

    def kept() -> tuple[str | None, str | None, str | None]:
        with admin.control.store.read() as session:
            domain = session.get_one(Domain, "example.test")
            return domain.relayhost, domain.relayuser, domain.relaypassword

    form = {"relayhost": "smtp.example.net:587", "relayuser": "us", "relaypassword": "at the smart host"}
    assert browser.post(page, form).status_code == 303
    assert "at the smart host" not in browser.get(page).text
    assert "smtp.example.net:587" in browser.get(page).text
    assert browser.post(page, {**form, "relayuser": "them", "relaypassword": ""}).status_code == 303
    assert kept() == ("smtp.example.net:587", "them", "at the smart host")
    for wrong, field in ({"relayhost": "lmtp:x.test"}, "relayhost"), ({"relayhost": ""}, "relayhost"):
        answer = browser.post(page, {**form, **wrong})
        assert answer.status_code == 422
        assert f'id="{field}-error"' in answer.text
        assert "at the smart host" not in answer.text
    assert signed_in("manager").get(page).status_code == 403
    assert browser.post(page, {"relayhost": "", "relayuser": "", "relaypassword": ""}).status_code == 303
    assert kept() == (None, None, None)
