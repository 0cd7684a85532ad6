"""What programs ask to set themselves up, through nginx, as they ask it: any case, any domain, any alphabet."""

from __future__ import annotations

import plistlib

import httpx
import pytest

from tests.daemons.server import DOMAIN, USER, Server

MAIN = f"mail.{DOMAIN}"
OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook"


def ask(
    server: Server, path: str, *, host: str = MAIN, scheme: str = "https", body: str | None = None
) -> httpx.Response:
    """One request for a name that leads to the server."""
    return httpx.request(
        "GET" if body is None else "POST",
        f"{scheme}://{server.address}{path}",
        headers={"Host": host},
        content=body.encode() if body is not None else None,
        verify=False,
        timeout=30,
    )


@pytest.mark.parametrize("path", ["/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"])
def test_thunderbird_is_answered_for_every_domain(stack: Server, path: str) -> None:
    for host in (f"autoconfig.{DOMAIN}", "autoconfig.xn--mller-kva.example", MAIN):
        answer = ask(stack, f"{path}?emailaddress=ann%40example.org", host=host)
        assert answer.status_code == 200
        assert f"<hostname>{MAIN}</hostname>" in answer.text
        plain = ask(stack, f"{path}?emailaddress=ann", host=host, scheme="http")
        assert plain.status_code == 301
        assert plain.headers["Location"] == f"https://{MAIN}{path}?emailaddress=ann", "the name with the certificate"


@pytest.mark.parametrize(
    "path",
    [
        "/autodiscover/autodiscover.json?Protocol=AutodiscoverV1",
        "/Autodiscover/AutoDiscover.json?protocol=autodiscoverv1&Email=ann%40example.org",
        "/autodiscover/autodiscover.json/v1.0/ann%40m%C3%BCller.example?Protocol=AutodiscoverV1&RedirectCount=1",
    ],
)
def test_outlook_is_led_to_the_xml(stack: Server, path: str) -> None:
    answer = ask(stack, path, host=f"autodiscover.{DOMAIN}")
    assert answer.json() == {"Protocol": "Autodiscoverv1", "Url": f"https://{MAIN}/autodiscover/autodiscover.xml"}


def test_a_protocol_that_is_not_spoken_is_not_there(stack: Server) -> None:
    assert ask(stack, "/autodiscover/autodiscover.json?Protocol=ActiveSync").status_code == 404


@pytest.mark.parametrize("address", [USER, "ann@müller.example", "grüße@müller.example"])
def test_outlook_is_told_both_servers(stack: Server, address: str) -> None:
    request = (
        f'<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="{OUTLOOK}/requestschema/2006"><Request>'
        f"<EMailAddress>{address}</EMailAddress>"
        f"<AcceptableResponseSchema>{OUTLOOK}/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>"
    )
    answer = ask(stack, "/AutoDiscover/AutoDiscover.xml", host="autodiscover.xn--mller-kva.example", body=request)
    assert answer.status_code == 200
    for wanted in ("<Type>IMAP</Type>", "<Port>993</Port>", "<Type>SMTP</Type>", "<Port>465</Port>"):
        assert wanted in answer.text
    assert answer.text.count(f"<Server>{MAIN}</Server>") == 2
    assert answer.text.count(f"<LoginName>{address}</LoginName>") == 2


@pytest.mark.parametrize(("given", "expected"), [(USER, USER), ("ann@müller.example", "ann@xn--mller-kva.example")])
def test_a_device_of_apples_gets_a_profile_that_is_not_signed_by_a_certificate_nobody_trusts(
    stack: Server, given: str, expected: str
) -> None:
    for path in ("/apple.mobileconfig", "/mobileconfig"):
        answer = ask(stack, f"{path}?email={given}")
        account = plistlib.loads(answer.content)["PayloadContent"][0]
        assert account["IncomingMailServerUsername"] == expected


def test_the_page_for_people_shows_the_profile_and_its_code(stack: Server) -> None:
    page = ask(stack, "/admin/client").text
    assert f'href="https://{MAIN}/apple.mobileconfig"' in page
    assert '<svg class="code"' in page
    assert f"<code>{MAIN}</code>" in page
