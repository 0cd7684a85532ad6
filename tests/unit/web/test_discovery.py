"""What mail programs and other servers ask without anybody signed on: set-up files and the policy about encryption."""

from __future__ import annotations

import json
import plistlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from tests.room_harness import make_settings

from mailu.address import DomainName
from mailu.control import ControlPlane
from mailu.directory.snapshot import DomainEntry, Snapshot
from mailu.places import Places
from mailu.web import discovery

REQUEST = """<?xml version="1.0"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>
<EMailAddress>ann@example.org</EMailAddress>
<AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/%s</AcceptableResponseSchema>
</Request></Autodiscover>"""


@pytest.fixture
def client() -> TestClient:
    """A server for two domains; one enforces encryption, and has another name."""
    domains = {
        "example.org": DomainEntry("example.org", -1, -1, 0, False, False, "enforce"),
        "example.com": DomainEntry("example.com", -1, -1, 0, False, False),
    }
    snapshot = Snapshot(domains=domains, alternatives={"example.net": DomainName("example.org")})
    control: Any = SimpleNamespace(
        settings=make_settings(), snapshot=lambda: snapshot, places=Places(Path("/nonexistent"))
    )
    return TestClient(Starlette(routes=discovery.routes(cast(ControlPlane, control))))


def policy(client: TestClient, host: str) -> tuple[int, str]:
    answer = client.get("/.well-known/mta-sts.txt", headers={"Host": host})
    return answer.status_code, answer.text


@pytest.mark.parametrize("host", ["mta-sts.example.org", "MTA-STS.Example.org", "mta-sts.example.net"])
def test_the_policy_of_a_domain_that_has_one_names_every_host(client: TestClient, host: str) -> None:
    status, text = policy(client, host)
    assert status == 200
    assert text.splitlines()[:4] == [
        "version: STSv1", "mode: enforce", "mx: mail.example.org", "mx: mx.example.org"
    ]  # fmt: skip
    answer = client.get("/.well-known/mta-sts.txt", headers={"Host": host})
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "host", ["mta-sts.example.com", "mta-sts.unknown.test", "example.org", "mta-sts.", "..", "x y"]
)
def test_there_is_no_policy_for_anybody_else(client: TestClient, host: str) -> None:
    assert policy(client, host)[0] == 404


@pytest.mark.parametrize("path", ["/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"])
def test_thunderbird_is_told_the_main_host(client: TestClient, path: str) -> None:
    answer = client.get(path, params={"emailaddress": "ann@example.org"})
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert "<hostname>mail.example.org</hostname>" in answer.text


def test_outlook_is_told_the_main_host_and_nonsense_is_refused(client: TestClient) -> None:
    answer = client.post("/autodiscover/autodiscover.xml", content=REQUEST % "2006a")
    assert answer.status_code == 200
    assert "<Server>mail.example.org</Server>" in answer.text
    assert client.post("/autodiscover/autodiscover.xml", content=REQUEST % "2099").status_code == 404
    assert client.post("/autodiscover/autodiscover.xml", content="<a").status_code == 400
    assert client.post("/autodiscover/autodiscover.xml", content="x" * 70_000).status_code == 413
    assert client.get("/autodiscover/autodiscover.xml").status_code == 405


def test_the_address_of_the_xml_is_told_in_json(client: TestClient) -> None:
    answer = client.get("/autodiscover/autodiscover.json", params={"Protocol": "Autodiscoverv1"})
    assert json.loads(answer.text)["Url"] == "https://mail.example.org/autodiscover/autodiscover.xml"
    assert client.get("/autodiscover/autodiscover.json", params={"protocol": "EWS"}).status_code == 404


def test_apple_devices_get_a_profile_for_an_address_or_for_anybody(client: TestClient) -> None:
    answer = client.get("/apple.mobileconfig", params={"email": "ann@example.org"})
    assert answer.headers["content-type"].startswith("application/x-apple-aspen-config")
    account = plistlib.loads(answer.content)["PayloadContent"][0]
    assert account["EmailAddress"] == "ann@example.org"
    assert "EmailAddress" not in plistlib.loads(client.get("/mobileconfig").content)["PayloadContent"][0]
    assert client.get("/apple.mobileconfig", params={"email": "no address"}).status_code == 400
