"""What mail programs are told: the shapes that they read."""

from __future__ import annotations

import plistlib
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mailu.address import DomainName
from mailu.identity.autoconfig import (
    BadAutodiscoverRequest,
    Service,
    UnknownAutodiscoverSchema,
    autodiscover_json,
    autodiscover_xml,
    mobileconfig,
    mozilla,
    parse_autodiscover_request,
    sign_mobileconfig,
)
from mailu.identity.certificates import ensure_self_signed, read_chain

SERVICE = Service(DomainName("mail.example.org"), 'Mail & "more"', "https://mail.example.org/admin/client?a=1&b=2")
SCHEMA = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"


def request(address: str = "anna@example.org", schema: str = SCHEMA) -> bytes:
    return f"""<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">
  <Request>
    <EMailAddress>{address}</EMailAddress>
    <AcceptableResponseSchema>{schema}</AcceptableResponseSchema>
  </Request>
</Autodiscover>""".encode()


def test_thunderbird_is_told_imap_993_and_smtp_465() -> None:
    root = ET.fromstring(mozilla(SERVICE))
    assert root.attrib == {"version": "1.1"}
    incoming, outgoing = root.find(".//incomingServer"), root.find(".//outgoingServer")
    assert incoming is not None
    assert outgoing is not None
    assert {child.tag: child.text for child in incoming} == {
        "hostname": "mail.example.org",
        "port": "993",
        "socketType": "SSL",
        "username": "%EMAILADDRESS%",
        "authentication": "password-cleartext",
    }
    assert {child.tag: child.text for child in outgoing} == {
        "hostname": "mail.example.org",
        "port": "465",
        "socketType": "SSL",
        "username": "%EMAILADDRESS%",
        "authentication": "password-cleartext",
        "addThisServer": "true",
        "useGlobalPreferredServer": "false",
    }
    assert root.findtext(".//displayName") == 'Mail & "more"'
    documentation = root.find(".//documentation")
    assert documentation is not None
    assert documentation.attrib["url"] == SERVICE.documentation_url


@pytest.mark.parametrize("protocol", ["Autodiscoverv1", "AutodiscoverV1"])
def test_the_json_leads_to_the_xml(protocol: str) -> None:
    assert autodiscover_json(SERVICE, protocol) == (
        '{"Protocol":"Autodiscoverv1","Url":"https://mail.example.org/autodiscover/autodiscover.xml"}'
    )


def test_other_protocols_are_not_there() -> None:
    assert autodiscover_json(SERVICE, "ActiveSync") is None


def test_outlook_is_told_both_servers_and_the_full_address_as_user() -> None:
    root = ET.fromstring(autodiscover_xml(SERVICE, request()))
    found = [{child.tag.rpartition("}")[2]: child.text for child in p} for p in root.iter(f"{{{SCHEMA}}}Protocol")]
    same = {
        "Server": "mail.example.org",
        "LoginName": "anna@example.org",
        "DomainRequired": "on",
        "SPA": "off",
        "SSL": "on",
    }
    assert found == [{"Type": "IMAP", "Port": "993", **same}, {"Type": "SMTP", "Port": "465", **same}]


def test_an_address_cannot_write_markup() -> None:
    answer = autodiscover_xml(SERVICE, request("a@b&lt;/LoginName&gt;&lt;Server&gt;evil"))
    assert "<Server>evil" not in answer


def test_another_schema_is_told_apart_from_nonsense() -> None:
    with pytest.raises(UnknownAutodiscoverSchema):
        autodiscover_xml(SERVICE, request(schema="http://schemas.microsoft.com/mobilesync/responseschema/2006"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<a>",
        request("no address"),
        request().replace(b"EMailAddress", b"Other"),
        request().replace(b"requestschema/2006", b"elsewhere"),
        b'<!DOCTYPE a [<!ENTITY x "y">]>' + request().partition(b"?>")[2],
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b'<?xml version="1.0" encoding="no-such-encoding"?><a/>',
        b"<a>" * 100_000,
        b"\xff\xfe\x00",
    ],
)
def test_nonsense_is_refused(body: bytes) -> None:
    with pytest.raises(BadAutodiscoverRequest):
        parse_autodiscover_request(body)


def test_an_apple_device_gets_both_servers() -> None:
    profile = plistlib.loads(mobileconfig(SERVICE, "anna@example.org"))
    account = profile["PayloadContent"][0]
    assert (account["PayloadType"], account["EmailAccountType"]) == ("com.apple.mail.managed", "EmailTypeIMAP")
    assert (account["IncomingMailServerHostName"], account["IncomingMailServerPortNumber"]) == ("mail.example.org", 993)
    assert (account["OutgoingMailServerHostName"], account["OutgoingMailServerPortNumber"]) == ("mail.example.org", 465)
    assert account["IncomingMailServerUseSSL"] is account["OutgoingMailServerUseSSL"] is True
    assert account["EmailAddress"] == account["IncomingMailServerUsername"] == "anna@example.org"
    assert profile["PayloadDisplayName"] == 'Mail & "more": anna@example.org'


def test_without_an_address_the_device_asks() -> None:
    account = plistlib.loads(mobileconfig(SERVICE))["PayloadContent"][0]
    assert not {"EmailAddress", "IncomingMailServerUsername"} & set(account)


@pytest.mark.parametrize(
    ("kind", "type_"), [("CalDAV", "com.apple.caldav.account"), ("CardDAV", "com.apple.carddav.account")]
)
def test_calendars_and_contacts_are_set_up_where_we_have_them(kind: str, type_: str) -> None:
    def account(address: str | None) -> dict[str, Any]:
        profile = plistlib.loads(mobileconfig(replace(SERVICE, dav_path="/webdav/"), address))
        found: dict[str, Any] = next(one for one in profile["PayloadContent"] if one["PayloadType"] == type_)
        return found

    found = account("anna@example.org")
    assert (found[f"{kind}HostName"], found[f"{kind}Port"], found[f"{kind}UseSSL"]) == ("mail.example.org", 443, True)
    assert found[f"{kind}Username"] == "anna@example.org"
    assert found[f"{kind}PrincipalURL"] == "/webdav/anna%40example.org/"
    assert f"{kind}Username" not in account(None)
    assert [one["PayloadType"] for one in plistlib.loads(mobileconfig(SERVICE))["PayloadContent"]] == [
        "com.apple.mail.managed"
    ]


def test_a_profile_replaces_the_earlier_one_of_the_same_account_only() -> None:
    """A device goes by PayloadIdentifier."""

    def identifiers(address: str | None, service: Service = SERVICE) -> list[str]:
        profile = plistlib.loads(mobileconfig(service, address))
        parts = [profile, *profile["PayloadContent"]]
        return [part[key] for part in parts for key in ("PayloadIdentifier", "PayloadUUID")]

    assert identifiers("anna@example.org") == identifiers("anna@example.org")
    assert not set(identifiers("anna@example.org")) & set(identifiers("bob@example.org"))
    assert len(set(identifiers(None))) == 4
    assert identifiers("anna@example.org")[0] == identifiers("anna@example.org", replace(SERVICE, dav_path="/"))[0]
    assert len(set(identifiers("anna@example.org", replace(SERVICE, dav_path="/")))) == 8


def test_a_signed_profile_verifies_and_holds_the_profile(tmp_path: Path) -> None:
    pair = ensure_self_signed(tmp_path, [SERVICE.host])
    key = load_pem_private_key(pair.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    profile = mobileconfig(SERVICE, "anna@example.org")
    (tmp_path / "signed").write_bytes(sign_mobileconfig(profile, read_chain(pair.chain), key))
    command = ["openssl", "cms", "-verify", "-inform", "DER", "-in", str(tmp_path / "signed"), "-noverify", "-binary"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == profile
